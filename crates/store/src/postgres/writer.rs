//! The writer: takes what waits, and makes a turn of it, behind the turns of all other nodes.

use std::sync::Arc;

use agentcafe_domain::{ids::Sequence, time::Clock};
use tokio::sync::mpsc;

use super::{
    database::{Database, Extra},
    listen::{Filler, Shared},
    open::Unreadable,
};
use crate::{
    batch::{Batch, Task, TurnReport, tell},
    turn::{Context, Turn},
};

/// What those are told whose turn was not written.
const UNAVAILABLE: &str = "the store cannot be written right now";

/// The one that writes on this node.
pub(crate) struct Writer {
    pub(super) database: Database,
    pub(super) filler: Filler,
    pub(super) context: Context,
    pub(super) shared: Arc<Shared>,
    pub(super) on_turn: Box<dyn Fn(&TurnReport) + Send>,
    pub(super) head: Sequence,
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(super) async fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        while let Some(first) = tasks.recv().await {
            let batch = Batch::collect(first, &mut tasks);
            if self.turn(batch).await {
                continue;
            }
            // There is no database to write to. Who came meanwhile has waited for the same; who comes now finds out anew.
            while let Ok(task) = tasks.try_recv() {
                let late = Batch::collect(task, &mut tasks);
                Turn::collect(&mut self.context, late.jobs).0.fail(UNAVAILABLE);
                tell(late.probes.into_iter().chain(late.purges), false);
            }
        }
    }

    /// Writes a turn, and answers those who wait. False if there is no database to write it to.
    async fn turn(&mut self, batch: Batch) -> bool {
        let Shared { tail, changes, clock } = self.shared.as_ref();
        let began = clock.stopwatch();
        let commands = batch.jobs.len();
        // Before the turn holds up those of other nodes: it need not be the very last word.
        self.context.learn(&batch.jobs).await;
        let (mut turn, needs) = Turn::collect(&mut self.context, batch.jobs);
        let extra = Extra { notes: &batch.notes, purging: !batch.purges.is_empty() };
        let committed = match self.database.write_turn(&mut turn, needs, &extra).await {
            Ok(committed) => committed,
            Err(error) => {
                tracing::error!(%error, commands, "a turn could not be written");
                turn.fail(UNAVAILABLE);
                tell(batch.probes.into_iter().chain(batch.purges), false);
                let took = clock.stopwatch() - began;
                (self.on_turn)(&TurnReport { commands, took, head: self.head, ..TurnReport::default() });
                return !matches!(error, Unreadable::Unreachable(_));
            }
        };
        let heads = (committed.before, turn.heads());
        self.head = heads.1.sequence;
        // Before its events can be seen: who sees one of them knows that its copies may be old.
        changes.learn(&committed.numbers);
        let remembered = turn.remembered();
        let (events, answers, inbox) = turn.commit();
        let report = TurnReport {
            round_trips: committed.round_trips,
            ..TurnReport::of(clock.as_ref(), began, commands, events.len(), inbox, heads)
        };
        // Counted before it is answered: whoever asks for metrics after an answer finds its turn in them.
        (self.on_turn)(&report);
        if !tail.publish(events) {
            // Other nodes have written meanwhile: what they wrote comes first.
            self.filler.fill().await;
        }
        // Before it is answered: who has an answer may ask another node next.
        self.context.tell(remembered).await;
        for (job, decided) in answers {
            // Whoever asked may be gone; what was decided stands all the same.
            let _ = job.answer.send(decided);
        }
        tell(batch.probes, true);
        tell(batch.purges, committed.more);
        true
    }
}
