//! The writer: takes what waits, and makes a turn of it, behind the turns of all other nodes.

use std::sync::Arc;

use agentcafe_domain::kernel::{ids::Sequence, time::Clock};
use tokio::sync::mpsc;

use super::{
    database::{Database, Extra},
    listen::{Shared, TailCatchUp},
    open::Unreadable,
};
use crate::{
    batch::{CommitReport, TaskBatch, WriterTask, tell},
    commit::{CommitBatch, Context},
};

/// What those are told whose turn was not written.
const UNAVAILABLE: &str = "the store cannot be written right now";

/// The one that writes on this node.
pub(crate) struct Writer {
    pub(super) database: Database,
    pub(super) catch_up: TailCatchUp,
    pub(super) context: Context,
    pub(super) shared: Arc<Shared>,
    pub(super) on_commit: Box<dyn Fn(&CommitReport) + Send>,
    pub(super) head: Sequence,
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(super) async fn run(mut self, mut tasks: mpsc::Receiver<WriterTask>) {
        while let Some(first) = tasks.recv().await {
            let queued = TaskBatch::collect(first, &mut tasks);
            if self.commit(queued).await {
                continue;
            }
            // There is no database to write to. Who came meanwhile has waited for the same; who comes now finds out anew.
            while let Ok(task) = tasks.try_recv() {
                let late = TaskBatch::collect(task, &mut tasks);
                CommitBatch::collect(&mut self.context, late.jobs).0.fail(UNAVAILABLE);
                tell(late.probes.into_iter().chain(late.purges), false);
            }
        }
    }

    /// Writes a turn, and answers those who wait. False if there is no database to write it to.
    async fn commit(&mut self, queued: TaskBatch) -> bool {
        let Shared { recent_events, changes, clock } = self.shared.as_ref();
        let began = clock.stopwatch();
        let commands = queued.jobs.len();
        // Before the turn holds up those of other nodes: it need not be the very last word.
        self.context.learn(&queued.jobs).await;
        let (mut batch, needs) = CommitBatch::collect(&mut self.context, queued.jobs);
        let extra = Extra { notes: &queued.notes, purging: !queued.purges.is_empty() };
        let committed = match self.database.write_batch(&mut batch, needs, &extra).await {
            Ok(committed) => committed,
            Err(error) => {
                tracing::error!(%error, commands, "a turn could not be written");
                batch.fail(UNAVAILABLE);
                tell(queued.probes.into_iter().chain(queued.purges), false);
                let took = clock.stopwatch() - began;
                (self.on_commit)(&CommitReport {
                    commands,
                    took,
                    head: self.head,
                    ..CommitReport::default()
                });
                return !matches!(error, Unreadable::Unreachable(_));
            }
        };
        let heads = (committed.before, batch.heads());
        self.head = heads.1.sequence;
        // Before its events can be seen: who sees one of them knows that its copies may be old.
        changes.learn(&committed.numbers);
        let remembered = batch.remembered();
        let (events, answers, inbox) = batch.commit();
        let report = CommitReport {
            round_trips: committed.round_trips,
            ..CommitReport::of(clock.as_ref(), began, commands, events.len(), inbox, heads)
        };
        // Counted before it is answered: whoever asks for metrics after an answer finds its turn in them.
        (self.on_commit)(&report);
        if !recent_events.publish(events) {
            // Other nodes have written meanwhile: what they wrote comes first.
            self.catch_up.fill().await;
        }
        // Before it is answered: who has an answer may ask another node next.
        self.context.tell(remembered).await;
        for (job, decided) in answers {
            // Whoever asked may be gone; what was decided stands all the same.
            let _ = job.answer.send(decided);
        }
        tell(queued.probes, true);
        tell(queued.purges, committed.more);
        true
    }
}
