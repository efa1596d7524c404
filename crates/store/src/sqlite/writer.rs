//! The writer thread: takes what waits, and makes a turn of it.

use std::sync::Arc;

use agentcafe_domain::{
    command::Heads,
    time::{Clock, Timestamp},
};
use tokio::sync::mpsc;

use super::{
    database::{Database, Extra},
    open::Directory,
};
use crate::{
    batch::{Batch, Task, TurnReport, tell},
    changes::Changes,
    tail::Tail,
    turn::{Context, Turn},
};

/// The one that writes.
pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) directory: Directory,
    pub(crate) context: Context,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) heads: Heads,
    pub(crate) last_at: Timestamp,
    pub(crate) on_turn: Box<dyn Fn(&TurnReport) + Send>,
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(crate) fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        while let Some(first) = tasks.blocking_recv() {
            let batch = Batch::collect(first, &mut tasks);
            self.turn(batch);
        }
        self.database.fold_in();
        tracing::debug!(database = ?self.directory.database, "closed");
    }

    fn turn(&mut self, batch: Batch) {
        let began = self.clock.stopwatch();
        let now = self.clock.now().max(self.last_at);
        let commands = batch.jobs.len();
        let (mut turn, needs) = Turn::collect(&mut self.context, batch.jobs);
        turn.start(now, self.heads);
        let extra = Extra {
            notes: &batch.notes,
            probing: !batch.probes.is_empty(),
            purging: !batch.purges.is_empty(),
        };
        let more = match self.database.write_turn(&mut turn, needs, &extra, now) {
            Ok(more) => more,
            Err(error) => {
                tracing::error!(%error, commands, "a turn could not be written");
                turn.fail("the store cannot be written right now");
                tell(batch.probes.into_iter().chain(batch.purges), false);
                let (took, head) = (self.clock.stopwatch() - began, self.heads.sequence);
                (self.on_turn)(&TurnReport { commands, took, head, ..TurnReport::default() });
                return;
            }
        };
        let heads = (self.heads, turn.heads());
        self.heads = heads.1;
        self.last_at = now;
        // Before its events can be seen: who sees one of them knows that its copies may be old.
        self.changes.tell(&turn.writes().records);
        let (events, answers, inbox) = turn.commit();
        let report = TurnReport::of(self.clock.as_ref(), began, commands, events.len(), inbox, heads);
        // Counted before it is answered: whoever asks for metrics after an answer finds its turn in them.
        (self.on_turn)(&report);
        self.tail.publish(events);
        for (job, decided) in answers {
            // Whoever asked may be gone; what was decided stands all the same.
            let _ = job.answer.send(decided);
        }
        tell(batch.probes, true);
        tell(batch.purges, more);
    }
}
