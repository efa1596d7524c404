//! The writer: takes what waits, and makes a turn of it, behind the turns of all other nodes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use agentcafe_domain::{ids::Sequence, time::Clock};
use tokio::sync::mpsc;

use super::{
    database::{Database, Extra},
    listen::Filler,
    open::Unreadable,
};
use crate::{
    batch::{Batch, Task, TurnReport, tell},
    changes::Changes,
    tail::Tail,
    turn::{Context, Turn},
};

/// The one that writes on this node.
pub(crate) struct Writer {
    pub(super) database: Database,
    pub(super) filler: Filler,
    pub(super) context: Context,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tail: Arc<Tail>,
    pub(super) changes: Arc<Changes>,
    pub(super) on_turn: Box<dyn Fn(&TurnReport) + Send>,
    pub(super) head: Sequence,
    /// Whether this process is known to be the only one that works on the database.
    pub(super) is_alone: Arc<AtomicBool>,
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(super) async fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        while let Some(first) = tasks.recv().await {
            let batch = Batch::collect(first, &mut tasks);
            self.turn(batch).await;
        }
    }

    async fn turn(&mut self, batch: Batch) {
        let began = self.clock.stopwatch();
        let commands = batch.jobs.len();
        let (mut turn, needs) = Turn::collect(&mut self.context, batch.jobs);
        let extra = Extra { notes: &batch.notes, purging: !batch.purges.is_empty() };
        let written = match self.is_alone.load(Ordering::SeqCst) {
            true => self.database.write_turn(&mut turn, needs, &extra, self.clock.now()).await,
            false => {
                Err(Unreadable::Unreachable("it is not known whether another process works on it".to_owned()))
            }
        };
        let committed = match written {
            Ok(committed) => committed,
            Err(error) => {
                tracing::error!(%error, commands, "a turn could not be written");
                turn.fail("the store cannot be written right now");
                tell(batch.probes.into_iter().chain(batch.purges), false);
                let took = self.clock.stopwatch() - began;
                (self.on_turn)(&TurnReport { commands, took, head: self.head, ..TurnReport::default() });
                return;
            }
        };
        let heads = (committed.before, turn.heads());
        self.head = heads.1.sequence;
        // Before its events can be seen: who sees one of them knows that its copies may be old.
        self.changes.tell(&turn.writes().records);
        let (events, answers, inbox) = turn.commit();
        let report = TurnReport::of(self.clock.as_ref(), began, commands, events.len(), inbox, heads);
        // Counted before it is answered: whoever asks for metrics after an answer finds its turn in them.
        (self.on_turn)(&report);
        if !self.tail.publish(events) {
            // Other nodes have written meanwhile: what they wrote comes first.
            self.filler.fill().await;
        }
        for (job, decided) in answers {
            // Whoever asked may be gone; what was decided stands all the same.
            let _ = job.answer.send(decided);
        }
        tell(batch.probes, true);
        tell(batch.purges, committed.more);
    }
}
