//! The writer thread: takes what waits, and makes a turn of it.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    command::Heads,
    time::{Clock, Timestamp},
};
use agentcafe_eventlog::RecentEvents;
use tokio::sync::mpsc;

use super::{
    database::{Database, Extra},
    open::Directory,
};
use crate::{
    batch::{CommitReport, TaskBatch, WriterTask, tell},
    changes::Changes,
    commit::{CommitBatch, Context},
};

/// The one that writes.
pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) directory: Directory,
    pub(crate) context: Context,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recent_events: Arc<RecentEvents>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) heads: Heads,
    pub(crate) last_at: Timestamp,
    pub(crate) on_commit: Box<dyn Fn(&CommitReport) + Send>,
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(crate) fn run(mut self, mut tasks: mpsc::Receiver<WriterTask>) {
        while let Some(first) = tasks.blocking_recv() {
            let queued = TaskBatch::collect(first, &mut tasks);
            self.commit(queued);
        }
        self.database.fold_in();
        tracing::debug!(database = ?self.directory.database, "closed");
    }

    fn commit(&mut self, queued: TaskBatch) {
        let began = self.clock.stopwatch();
        let now = self.clock.now().max(self.last_at);
        let commands = queued.jobs.len();
        let (mut batch, needs) = CommitBatch::collect(&mut self.context, queued.jobs);
        batch.start(now, self.heads);
        let extra = Extra {
            notes: &queued.notes,
            probing: !queued.probes.is_empty(),
            purging: !queued.purges.is_empty(),
        };
        let more = match self.database.write_batch(&mut batch, needs, &extra, now) {
            Ok(more) => more,
            Err(error) => {
                tracing::error!(%error, commands, "a turn could not be written");
                batch.fail("the store cannot be written right now");
                tell(queued.probes.into_iter().chain(queued.purges), false);
                let (took, head) = (self.clock.stopwatch() - began, self.heads.sequence);
                (self.on_commit)(&CommitReport { commands, took, head, ..CommitReport::default() });
                return;
            }
        };
        let heads = (self.heads, batch.heads());
        self.heads = heads.1;
        self.last_at = now;
        // Before its events can be seen: who sees one of them knows that its copies may be old.
        self.changes.tell(&batch.writes().records);
        let (events, answers, inbox) = batch.commit();
        let report = CommitReport::of(self.clock.as_ref(), began, commands, events.len(), inbox, heads);
        // Counted before it is answered: whoever asks for metrics after an answer finds its turn in them.
        (self.on_commit)(&report);
        self.recent_events.publish(events);
        for (job, decided) in answers {
            // Whoever asked may be gone; what was decided stands all the same.
            let _ = job.answer.send(decided);
        }
        tell(queued.probes, true);
        tell(queued.purges, more);
    }
}
