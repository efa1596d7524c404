//! The commit driver: takes the commands that wait, and for each batch of them begins a transaction, loads, decides, commits,
//! publishes the events and answers, whichever database it is.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{Clock, Heads, Sequence, Timestamp};
use agentcafe_eventlog::RecentEvents;
use tokio::sync::{mpsc, oneshot};

use crate::commit::{CommitBatch, CommitContext, InboxTimes, MissingReads, QueuedCommand};
use crate::envelope::TraceNote;
use crate::failed_commits::FailedCommits;
use crate::storage::{BegunTransaction, LogHead, Maintenance, Storage, Transaction};
use crate::storage_error::StorageError;
use crate::table_changes::{TableChanges, versions_after};

/// The most tasks in one batch: bounds how long a batch takes, and how many commands fail with it.
const MAX_BATCH_TASKS: usize = 256;
/// The answer to a command whose batch was not written.
const UNAVAILABLE: &str = "the store cannot be written right now";

/// What callers put into the writer's queue.
pub(crate) enum WriterTask {
    /// Decide a command.
    Command(QueuedCommand),
    /// Keep the trace of a request that ended before it was put into a batch.
    Trace(TraceNote),
    /// Find out whether the database accepts writes.
    Probe(oneshot::Sender<bool>),
    /// Delete rows that are no longer needed; answers whether there may be more.
    Purge(oneshot::Sender<bool>),
    /// Finish the tasks queued before this one, and end.
    Close,
}

/// What a commit batch did, for metrics.
#[derive(Clone, Debug, Default)]
pub struct CommitReport {
    /// The commands in it.
    pub commands: usize,
    /// The events it wrote.
    pub events: usize,
    /// Whether it was committed.
    pub committed: bool,
    /// How long it took, commit included.
    pub took: Duration,
    /// For each command that added an inbox item: the time from its request's arrival until now, in milliseconds.
    pub inbox_enqueued_ms: Vec<i64>,
    /// How long each acknowledged inbox item had waited, in milliseconds.
    pub inbox_acked_ms: Vec<i64>,
    /// The inbox items it wrote.
    pub inbox_items: u64,
    /// The log's head.
    pub head: Sequence,
    /// The unread counts that it changed, as they are now.
    pub unread: Vec<UnreadCount>,
    /// The batch's time: not before that of any earlier batch.
    pub at: Timestamp,
    /// The round trips to a database outside this process.
    pub round_trips: u32,
}

/// The tasks of one batch, by kind.
#[derive(Default)]
struct QueuedTasks {
    commands: Vec<QueuedCommand>,
    notes: Vec<TraceNote>,
    probes: Vec<oneshot::Sender<bool>>,
    purges: Vec<oneshot::Sender<bool>>,
}

impl QueuedTasks {
    /// `first` and the tasks queued behind it, as many as a batch holds. After [`WriterTask::Close`] the queue accepts nothing
    /// more; what was queued before is still received.
    fn take(first: WriterTask, queue: &mut mpsc::Receiver<WriterTask>) -> Self {
        let mut batch = Self::default();
        let mut closing = batch.add(first);
        for _ in 1..MAX_BATCH_TASKS {
            let Ok(task) = queue.try_recv() else { break };
            closing |= batch.add(task);
        }
        if closing {
            queue.close();
        }
        batch
    }

    /// Adds a task; returns whether it closes the queue.
    fn add(&mut self, task: WriterTask) -> bool {
        match task {
            WriterTask::Command(command) => self.commands.push(command),
            WriterTask::Trace(note) => self.notes.push(note),
            WriterTask::Probe(answer) => self.probes.push(answer),
            WriterTask::Purge(answer) => self.purges.push(answer),
            WriterTask::Close => return true,
        }
        false
    }
}

fn answer_all(waiting: impl IntoIterator<Item = oneshot::Sender<bool>>, answer: bool) {
    for sender in waiting {
        let _ = sender.send(answer);
    }
}

/// What the writer of any database works with.
pub(crate) struct WriterParts {
    pub(crate) context: CommitContext,
    pub(crate) table_changes: Arc<TableChanges>,
    pub(crate) failed_commits: Arc<FailedCommits>,
    pub(crate) on_commit: Box<dyn Fn(&CommitReport) + Send>,
    pub(crate) queue: mpsc::Receiver<WriterTask>,
}

/// The one writer of this process.
pub(crate) struct Writer<S> {
    storage: S,
    recent_events: Arc<RecentEvents>,
    clock: Arc<dyn Clock>,
    context: CommitContext,
    table_changes: Arc<TableChanges>,
    failed_commits: Arc<FailedCommits>,
    on_commit: Box<dyn Fn(&CommitReport) + Send>,
    /// The sequence of the last event that this writer has seen.
    head: Sequence,
}

/// A batch that is in the log.
struct StoredBatch {
    /// The state before and after it.
    before: LogHead,
    after: LogHead,
    more_to_purge: bool,
    round_trips: u32,
}

impl<S: Storage> Writer<S> {
    /// Runs until the queue is closed, or no sender is left.
    pub(crate) async fn run(
        storage: S,
        recent_events: Arc<RecentEvents>,
        clock: Arc<dyn Clock>,
        parts: WriterParts,
    ) {
        let WriterParts { context, table_changes, failed_commits, on_commit, mut queue } = parts;
        let head = recent_events.head();
        let mut writer =
            Self { storage, recent_events, clock, context, table_changes, failed_commits, on_commit, head };
        while let Some(first) = queue.recv().await {
            let batch = QueuedTasks::take(first, &mut queue);
            if writer.commit(batch).await {
                continue;
            }
            // There is no database to write to. Tasks that queued meanwhile have waited as long; later ones try again.
            while let Ok(task) = queue.try_recv() {
                let late = QueuedTasks::take(task, &mut queue);
                CommitBatch::new(&mut writer.context, late.commands).0.fail(UNAVAILABLE);
                answer_all(late.probes.into_iter().chain(late.purges), false);
            }
        }
        writer.storage.close().await;
    }

    /// Commits a batch, publishes its events, and answers its tasks. False if there is no database to write to.
    #[tracing::instrument(name = "commit_batch", level = "debug", skip_all, fields(commands = tasks.commands.len()))]
    async fn commit(&mut self, tasks: QueuedTasks) -> bool {
        let began = self.clock.stopwatch();
        let commands = tasks.commands.len();
        // Before the transaction, which holds up those of other nodes: the answer need not be the very latest.
        self.context.load_shared_windows(&tasks.commands).await;
        let (mut batch, needs) = CommitBatch::new(&mut self.context, tasks.commands);
        let maintenance = Maintenance {
            notes: &tasks.notes,
            probe: !tasks.probes.is_empty(),
            purge: !tasks.purges.is_empty(),
        };
        let stored = match write_batch(&mut self.storage, &mut batch, needs, &maintenance).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, commands, "a commit batch could not be written");
                batch.fail(UNAVAILABLE);
                if commands > 0 {
                    self.failed_commits.add(self.clock.stopwatch());
                }
                answer_all(tasks.probes.into_iter().chain(tasks.purges), false);
                let (took, head) = (self.clock.stopwatch() - began, self.head);
                (self.on_commit)(&CommitReport { commands, took, head, ..CommitReport::default() });
                return !error.is_unreachable();
            }
        };
        self.head = stored.after.heads.sequence;
        // Before the events are visible, so that a reader of these events reloads cached records.
        self.table_changes.publish(&stored.after.table_versions);
        let shared_activity = batch.take_shared_activity();
        let (events, answers, inbox) = batch.into_results();
        if !events.is_empty() {
            self.failed_commits.clear();
        }
        let took = self.clock.stopwatch() - began;
        let duration_ms = took.as_secs_f64() * 1_000.0;
        tracing::debug!(events = events.len(), head = self.head.0, duration_ms, "committed");
        // Before the answers: metrics read after an answer include its batch.
        (self.on_commit)(&report(self.clock.as_ref(), took, (commands, events.len()), inbox, &stored));
        if !self.recent_events.publish(events) {
            // Other nodes have committed meanwhile: their events come first.
            self.storage.catch_up().await;
        }
        // Before the answers: a caller with an answer may send its next request to another node.
        self.context.save_shared_windows(shared_activity).await;
        for (sender, answer) in answers {
            // The caller may be gone; the decision is valid all the same.
            let _ = sender.send(answer);
        }
        answer_all(tasks.probes, true);
        answer_all(tasks.purges, stored.more_to_purge);
        true
    }
}

/// Begins, loads, decides, writes and commits: all or nothing.
async fn write_batch<S: Storage>(
    storage: &mut S,
    batch: &mut CommitBatch<'_>,
    needs: MissingReads,
    maintenance: &Maintenance<'_>,
) -> Result<StoredBatch, StorageError> {
    let BegunTransaction { mut transaction, head: before, mut found } = storage.begin(needs).await?;
    batch.start(before.at, before.heads);
    loop {
        batch.add_found(found);
        let needs = batch.decide();
        if needs.is_empty() {
            break;
        }
        found = transaction.load(needs).await?;
    }
    let table_versions = versions_after(before.table_versions, &batch.writes().records);
    let after = LogHead { heads: batch.heads(), table_versions, at: before.at };
    let committed = transaction.commit(batch.writes(), &after, maintenance).await?;
    let (more_to_purge, round_trips) = (committed.more_to_purge, committed.round_trips);
    Ok(StoredBatch { before, after, more_to_purge, round_trips })
}

/// What a committed batch did.
fn report(
    clock: &dyn Clock,
    took: Duration,
    (commands, events): (usize, usize),
    inbox: InboxTimes,
    stored: &StoredBatch,
) -> CommitReport {
    let committed_at = clock.now();
    let waited = |from: Timestamp| committed_at.as_millis() - from.as_millis();
    let Heads { inbox: last_item, sequence: head, .. } = stored.after.heads;
    CommitReport {
        commands,
        events,
        committed: true,
        took,
        inbox_enqueued_ms: inbox.enqueued_by.into_iter().map(waited).collect(),
        inbox_acked_ms: inbox.acked_after_ms,
        inbox_items: last_item.0 - stored.before.heads.inbox.0,
        head,
        unread: inbox.unread,
        at: stored.after.at,
        round_trips: stored.round_trips,
    }
}
