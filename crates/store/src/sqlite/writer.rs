//! The writer thread: takes what waits, and makes a turn of it.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    command::Heads,
    ids::Sequence,
    time::{Clock, Timestamp},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    database::{Database, Extra},
    open::Directory,
};
use crate::{
    changes::Changes,
    envelope::TraceNote,
    tail::Tail,
    turn::{Context, Job, Turn},
};

/// The most commands in one turn: bounds how long a turn takes, and how much a failed one takes with it.
pub(crate) const MAX_TURN_COMMANDS: usize = 256;

/// What waits for a turn.
pub(crate) enum Task {
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
pub struct TurnReport {
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
}

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

/// The tasks of one turn, sorted by what they want.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    notes: Vec<TraceNote>,
    probes: Vec<oneshot::Sender<bool>>,
    purges: Vec<oneshot::Sender<bool>>,
    closing: bool,
}

impl Batch {
    fn add(&mut self, task: Task) {
        match task {
            Task::Decide(job) => self.jobs.push(job),
            Task::Note(note) => self.notes.push(note),
            Task::Probe(answer) => self.probes.push(answer),
            Task::Purge(answer) => self.purges.push(answer),
            Task::Close => self.closing = true,
        }
    }
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(crate) fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        while let Some(first) = tasks.blocking_recv() {
            let mut batch = Batch::default();
            batch.add(first);
            for _ in 1..MAX_TURN_COMMANDS {
                let Ok(task) = tasks.try_recv() else { break };
                batch.add(task);
            }
            if batch.closing {
                // What was sent before is still received; then this ends.
                tasks.close();
            }
            self.turn(batch);
        }
        self.database.fold_in();
        tracing::debug!(database = ?self.directory.database, "closed");
    }

    fn turn(&mut self, batch: Batch) {
        let began = self.clock.stopwatch();
        let now = self.clock.now().max(self.last_at);
        let commands = batch.jobs.len();
        let (mut turn, needs) = Turn::begin(&mut self.context, now, self.heads, batch.jobs);
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
        let inbox_items = turn.heads().inbox.0 - self.heads.inbox.0;
        self.heads = turn.heads();
        self.last_at = now;
        // Before its events can be seen: who sees one of them knows that its copies may be old.
        self.changes.tell(&turn.writes().records);
        let (events, answers, inbox) = turn.commit();
        let committed_at = self.clock.now();
        let waited = |from: Timestamp| committed_at.as_millis() - from.as_millis();
        let report = TurnReport {
            commands,
            events: events.len(),
            committed: true,
            took: self.clock.stopwatch() - began,
            inbox_enqueued_ms: inbox.enqueued_by.into_iter().map(waited).collect(),
            inbox_acked_ms: inbox.acked_after_ms,
            inbox_items,
            head: self.heads.sequence,
        };
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

/// Answers those who still wait.
fn tell(waiting: impl IntoIterator<Item = oneshot::Sender<bool>>, answer: bool) {
    for sender in waiting {
        let _ = sender.send(answer);
    }
}
