//! The reaction engine: follows the log, matches each event against the rules of its tenant, and runs reactions, once per rule
//! and event, in order for each rule.
//!
//! The cursor is saved after each batch with reactions. After a crash, events are read again. The record of each rule holds the
//! last event that it processed, committed together with the reaction, so no reaction runs twice. (Its idempotency key ensures
//! the same, but only until keys expire.)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Sequence;
use agentcafe_domain::reactions::{MatchResult, SourceEvent, StoredReaction};
use agentcafe_engine::Engine;
use agentcafe_engine::followers::Progress;
use agentcafe_engine::lease::{LeaseGuard, while_held};
use agentcafe_eventlog::{EventFilter, EventPage, Follower, ReadError};
use agentcafe_store::Failure;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::rules::Rules;
use self::run::ReactionRunner;

mod rules;
mod run;

/// The name of the follower, and of its lease.
pub const FOLLOWER: &str = "reactions";
/// The most events in one batch.
const MAX_BATCH_EVENTS: usize = 256;
/// A batch ends with the event that reaches this many reactions.
const MAX_BATCH_REACTIONS: usize = 1_024;
/// The pause after the store failed.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// A reaction of a rule to an event.
struct Reaction {
    rule: Arc<StoredReaction>,
    /// Resolves when the rule has processed its previous event.
    previous: Option<oneshot::Receiver<()>>,
    /// Sent when the rule has processed this event; dropped if it could not, so that it skips the later ones too.
    done: oneshot::Sender<()>,
}

/// An event, and the reactions to it, in order.
struct Job {
    source: Arc<SourceEvent>,
    reactions: Vec<Reaction>,
}

/// The jobs of a page, and the position up to which it was scanned.
type Batch = (Vec<Job>, Sequence);

/// Runs reactions to at most `concurrency` events at a time, on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>, concurrency: usize) {
    let react = |lease: LeaseGuard| react(Arc::clone(&engine), lease.ending, concurrency);
    while_held(Arc::clone(&engine), FOLLOWER, react).await;
}

async fn react(engine: Arc<Engine>, ending: CancellationToken, concurrency: usize) {
    let Some(mut progress) = resume(&engine, &ending).await else { return };
    let mut follower = follow(&engine, &progress);
    let rules = Rules::new(&engine);
    let mut reactions = Reactions { rules, engine, ending, concurrency: concurrency.max(1) };
    loop {
        tokio::select! {
            () = reactions.ending.cancelled() => break,
            () = follower.wait_for_more() => {}
        }
        progress.begin();
        if let Err(error) = reactions.advance(&mut follower, &mut progress).await {
            progress.fail(&error.to_string());
            pause(&reactions.ending).await;
        }
        if follower.scanned_to() > progress.cursor() {
            follower = follow(&reactions.engine, &progress);
        }
    }
    if let Err(failure) = progress.save().await {
        tracing::warn!(%failure, "the cursor of reactions was not saved; the next start reads some events again");
    }
}

/// Follows all events after the cursor.
fn follow(engine: &Engine, progress: &Progress) -> Follower {
    Follower::new(Arc::clone(&engine.store), EventFilter::default(), progress.cursor())
}

/// Loads the cursor; none if `ending` is cancelled first.
async fn resume(engine: &Arc<Engine>, ending: &CancellationToken) -> Option<Progress> {
    let mut is_logged = false;
    loop {
        match Progress::resume(engine, FOLLOWER, ending).await {
            Ok(progress) => return Some(progress),
            Err(_) if is_logged => {}
            Err(failure) => tracing::warn!(%failure, "reactions cannot start yet; retrying"),
        }
        is_logged = true;
        pause(ending).await?;
    }
}

/// Waits before a retry; none if `ending` is cancelled first.
async fn pause(ending: &CancellationToken) -> Option<()> {
    ending.run_until_cancelled(sleep(RETRY_AFTER)).await
}

/// The reaction engine.
struct Reactions {
    engine: Arc<Engine>,
    rules: Rules,
    ending: CancellationToken,
    concurrency: usize,
}

impl Reactions {
    /// Processes the next batch.
    async fn advance(&mut self, follower: &mut Follower, progress: &mut Progress) -> Result<(), Failure> {
        let unread = |error: ReadError| {
            tracing::debug!(%error, "reactions cannot read the store");
            Failure::Unavailable("the store cannot be read right now")
        };
        // The head is read first: changes of rules are published before later events.
        let head = self.engine.store.recent_events().head();
        if !self.rules.is_any_active().await.map_err(unread)? {
            self.engine.metrics.reactions.processed.inc_by(head.0.saturating_sub(progress.cursor().0));
            follower.advance_to(head);
            progress.reach(head);
            return progress.save_if_far().await;
        }
        let page = follower.read(MAX_BATCH_EVENTS).await.map_err(unread)?;
        let (jobs, scanned_to) = self.batch(&page).await.map_err(unread)?;
        let has_reactions = !jobs.is_empty();
        let processed_to = self.run(jobs, scanned_to).await;
        let processed = page.events.iter().filter(|event| event.sequence <= processed_to).count();
        self.engine.metrics.reactions.processed.inc_by(processed as u64);
        progress.reach(processed_to);
        if has_reactions { progress.save().await } else { progress.save_if_far().await }
    }

    /// Matches the events of a page against the rules.
    async fn batch(&mut self, page: &EventPage) -> Result<Batch, ReadError> {
        self.rules.refresh();
        let (now, skipped) = (self.engine.now(), self.engine.metrics.reactions.outcomes.get("skipped"));
        let mut last_of: HashMap<Uuid, oneshot::Receiver<()>> = HashMap::new();
        let (mut jobs, mut count) = (Vec::new(), 0);
        for event in &page.events {
            let source = match SourceEvent::read(&event.json) {
                Ok(source) => Arc::new(source),
                Err(error) => {
                    tracing::error!(sequence = %event.sequence, %error, "an event cannot be parsed; no rule reacts to it");
                    continue;
                }
            };
            let rules = self.rules.for_tenant(&source.tenant_id).await?;
            let mut reactions = Vec::new();
            for rule in rules.iter() {
                match rule.verdict(&source, now) {
                    MatchResult::Unconcerned => {}
                    MatchResult::Skips => drop(skipped.inc()),
                    MatchResult::Answers => {
                        let (done, end) = oneshot::channel();
                        let previous = last_of.insert(rule.subscription.id, end);
                        reactions.push(Reaction { rule: Arc::clone(rule), previous, done });
                    }
                }
            }
            count += reactions.len();
            if !reactions.is_empty() {
                jobs.push(Job { source, reactions });
            }
            if count >= MAX_BATCH_REACTIONS {
                return Ok((jobs, event.sequence));
            }
        }
        Ok((jobs, page.scanned_to))
    }

    /// Runs the jobs of a page, some concurrently, started in order. Returns up to where all events have been processed.
    async fn run(&self, jobs: Vec<Job>, scanned_to: Sequence) -> Sequence {
        let (mut waiting, mut running) = (jobs.into_iter(), JoinSet::new());
        let mut processed_to = scanned_to;
        loop {
            while running.len() < self.concurrency
                && let Some(job) = waiting.next()
            {
                if self.ending.is_cancelled() {
                    processed_to = processed_to.min(Sequence(job.source.sequence.0 - 1));
                    break;
                }
                let runner = ReactionRunner::new(&self.engine, &self.ending, Arc::clone(&job.source));
                running.spawn(run_job(runner, job));
            }
            let Some(ended) = running.join_next().await else { return processed_to };
            match ended {
                Ok(Ok(())) => {}
                // The lease ends: the next holder resumes with this event.
                Ok(Err(unprocessed)) => processed_to = processed_to.min(Sequence(unprocessed.0 - 1)),
                Err(error) => tracing::error!(%error, "a reaction panicked"),
            }
        }
    }
}

/// Runs the reactions to an event, one after the other. The error is the event's sequence: it has not been processed.
async fn run_job(runner: ReactionRunner, job: Job) -> Result<(), Sequence> {
    for Reaction { rule, previous, done } in job.reactions {
        let is_in_order = match previous {
            Some(previous) => previous.await.is_ok(),
            None => true,
        };
        if !is_in_order || !runner.run(rule).await {
            return Err(job.source.sequence);
        }
        // The last event of a batch has no receiver.
        let _ = done.send(());
    }
    Ok(())
}
