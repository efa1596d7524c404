//! What waits for a turn, and how those who wait are answered: the same for every database.

use std::time::Duration;

use agentcafe_domain::{
    inbox::UnreadCount,
    kernel::{
        command::Heads,
        ids::Sequence,
        time::{Clock, Timestamp},
    },
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    commit::{InboxTimes, Job},
    envelope::TraceNote,
};

/// The most commands in one turn: bounds how long a turn takes, and how much a failed one takes with it.
pub(crate) const MAX_BATCH_COMMANDS: usize = 256;

/// What waits for a turn.
pub(crate) enum WriterTask {
    /// A command.
    Decide(Job),
    /// A request that ended before its turn.
    Note(TraceNote),
    /// Find out whether the store takes writes.
    Probe(oneshot::Sender<bool>),
    /// Delete what is no longer needed; answers whether there may be more.
    Purge(oneshot::Sender<bool>),
    /// Finish what was given before this, and end.
    Close,
}

/// What a turn did, for metrics.
#[derive(Clone, Debug, Default)]
pub struct CommitReport {
    /// The commands that were in it.
    pub commands: usize,
    /// The events it wrote.
    pub events: usize,
    /// Whether it was committed.
    pub committed: bool,
    /// How long it took, commit included.
    pub took: Duration,
    /// For each command that put something into an inbox: the time from its request's arrival until now, in milliseconds.
    pub inbox_enqueued_ms: Vec<i64>,
    /// How long each acknowledged inbox item had waited, in milliseconds.
    pub inbox_acked_ms: Vec<i64>,
    /// The inbox items it wrote.
    pub inbox_items: u64,
    /// The log's head.
    pub head: Sequence,
    /// The unread counts that it changed, as they are now.
    pub unread: Vec<UnreadCount>,
    /// The turn's time: not before that of any turn before it.
    pub at: Timestamp,
    /// How often it waited for a database that is not in this process.
    pub round_trips: u32,
}

impl CommitReport {
    /// What a committed turn did.
    pub(crate) fn of(
        clock: &dyn Clock,
        began: Duration,
        commands: usize,
        events: usize,
        inbox: InboxTimes,
        (before, after): (Heads, Heads),
    ) -> Self {
        let committed_at = clock.now();
        let waited = |from: Timestamp| committed_at.as_millis() - from.as_millis();
        Self {
            commands,
            events,
            committed: true,
            took: clock.stopwatch() - began,
            inbox_enqueued_ms: inbox.enqueued_by.into_iter().map(waited).collect(),
            inbox_acked_ms: inbox.acked_after_ms,
            inbox_items: after.inbox.0 - before.inbox.0,
            head: after.sequence,
            unread: inbox.unread,
            at: inbox.at,
            round_trips: 0,
        }
    }
}

/// The tasks of one turn, sorted by what they want.
#[derive(Default)]
pub(crate) struct TaskBatch {
    pub(crate) jobs: Vec<Job>,
    pub(crate) notes: Vec<TraceNote>,
    pub(crate) probes: Vec<oneshot::Sender<bool>>,
    pub(crate) purges: Vec<oneshot::Sender<bool>>,
}

impl TaskBatch {
    /// What waits behind `first`, as much as a turn takes. Once told to close, the queue takes nothing more; what was sent
    /// before is still received.
    pub(crate) fn collect(first: WriterTask, tasks: &mut mpsc::Receiver<WriterTask>) -> Self {
        let mut batch = Self::default();
        let mut closing = batch.add(first);
        for _ in 1..MAX_BATCH_COMMANDS {
            let Ok(task) = tasks.try_recv() else { break };
            closing |= batch.add(task);
        }
        if closing {
            tasks.close();
        }
        batch
    }

    /// Adds a task; whether it says to close.
    fn add(&mut self, task: WriterTask) -> bool {
        match task {
            WriterTask::Decide(job) => self.jobs.push(job),
            WriterTask::Note(note) => self.notes.push(note),
            WriterTask::Probe(answer) => self.probes.push(answer),
            WriterTask::Purge(answer) => self.purges.push(answer),
            WriterTask::Close => return true,
        }
        false
    }
}

/// Answers those who still wait.
pub(crate) fn tell(waiting: impl IntoIterator<Item = oneshot::Sender<bool>>, answer: bool) {
    for sender in waiting {
        let _ = sender.send(answer);
    }
}
