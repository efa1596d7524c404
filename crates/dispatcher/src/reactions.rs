//! The reaction engine: follows the log, holds each event against the rules of its tenant, and lets actors react, once per rule
//! and event, in order for each rule.
//!
//! How far it has come is kept after each batch in which something was decided. A crash in between makes it go over events again;
//! each rule remembers in its own record the last event it dealt with, written with what it did, so nobody acts twice. (The
//! idempotency key of a reaction says the same, but only for as long as keys are kept.)

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

use self::answer::Answering;
use self::rules::Rules;

mod answer;
mod rules;

/// The name of the follower, and of its lease.
pub const FOLLOWER: &str = "reactions";
/// The most events in one batch.
const MAX_BATCH_EVENTS: usize = 256;
/// How many answers make a batch full, so that none takes long.
const FULL_BATCH_ANSWERS: usize = 1_024;
/// How long it waits before it tries again what the store could not do.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// A rule's part in an event.
struct Part {
    rule: Arc<StoredReaction>,
    /// Tells that the rule is through with the event before this one.
    before: Option<oneshot::Receiver<()>>,
    /// Told when the rule is through with this one; dropped if it is not, so that it does not go on with later ones.
    done: oneshot::Sender<()>,
}

/// An event, and the rules that answer it, in order.
struct Job {
    source: Arc<SourceEvent>,
    parts: Vec<Part>,
}

/// What is to be done for the events of a page.
struct Batch {
    jobs: Vec<Job>,
    /// Up to where the page was looked at.
    scanned_to: Sequence,
}

/// Lets actors react to events, at most `concurrency` events at a time, on one node at a time, until the engine stops.
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
            reactions.pause().await;
        }
        if follower.scanned_to() > progress.cursor() {
            follower = follow(&reactions.engine, &progress);
        }
    }
    if let Err(failure) = progress.keep().await {
        tracing::warn!(%failure, "the reactions' cursor was not kept; the next start goes over some events again");
    }
}

/// Follows everything, from where the reactions have come to.
fn follow(engine: &Engine, progress: &Progress) -> Follower {
    Follower::new(Arc::clone(&engine.store), EventFilter::default(), progress.cursor())
}

/// Finds out where to go on; none if it is time to end meanwhile.
async fn resume(engine: &Arc<Engine>, ending: &CancellationToken) -> Option<Progress> {
    let mut is_told = false;
    loop {
        match Progress::resume(engine, FOLLOWER, ending).await {
            Ok(progress) => return Some(progress),
            Err(_) if is_told => {}
            Err(failure) => tracing::warn!(%failure, "reactions cannot begin yet; they try again"),
        }
        is_told = true;
        tokio::select! {
            () = ending.cancelled() => return None,
            () = sleep(RETRY_AFTER) => {}
        }
    }
}

/// The engine of reactions.
struct Reactions {
    engine: Arc<Engine>,
    rules: Rules,
    ending: CancellationToken,
    concurrency: usize,
}

impl Reactions {
    async fn pause(&self) {
        tokio::select! {
            () = self.ending.cancelled() => {}
            () = sleep(RETRY_AFTER) => {}
        }
    }

    /// Deals with the next batch.
    async fn advance(&mut self, follower: &mut Follower, progress: &mut Progress) -> Result<(), Failure> {
        let unread = |error: ReadError| {
            tracing::debug!(%error, "reactions wait");
            Failure::Unavailable("the store cannot be read right now")
        };
        // In this order: a rule that is older than an event has been told of before the event can be seen.
        let head = self.engine.store.recent_events().head();
        if !self.rules.is_any_at_work().await.map_err(unread)? {
            self.engine.metrics.reactions.processed.inc_by(head.0.saturating_sub(progress.cursor().0));
            follower.advance_to(head);
            progress.reach(head);
            return progress.keep_now_and_then().await;
        }
        let page = follower.read(MAX_BATCH_EVENTS).await.map_err(unread)?;
        let batch = self.batch(&page).await.map_err(unread)?;
        let has_work = !batch.jobs.is_empty();
        let settled = self.carry_out(batch).await;
        let passed = page.events.iter().filter(|event| event.sequence <= settled).count();
        self.engine.metrics.reactions.processed.inc_by(passed as u64);
        progress.reach(settled);
        if has_work { progress.keep().await } else { progress.keep_now_and_then().await }
    }

    /// Holds the events of a page against the rules.
    async fn batch(&mut self, page: &EventPage) -> Result<Batch, ReadError> {
        self.rules.refresh();
        let now = self.engine.now();
        let mut last_of: HashMap<Uuid, oneshot::Receiver<()>> = HashMap::new();
        let (mut jobs, mut answers) = (Vec::new(), 0);
        for event in &page.events {
            let source = match SourceEvent::read(&event.json) {
                Ok(source) => Arc::new(source),
                Err(error) => {
                    tracing::error!(sequence = %event.sequence, %error, "an event cannot be read; no rule answers it");
                    continue;
                }
            };
            let rules = self.rules.of(&source.tenant_id).await?;
            let mut parts = Vec::new();
            for rule in rules.iter() {
                match rule.verdict(&source, now) {
                    MatchResult::Unconcerned => {}
                    MatchResult::Skips => self.engine.metrics.reactions.count("skipped"),
                    MatchResult::Answers => {
                        let (done, end) = oneshot::channel();
                        let before = last_of.insert(rule.subscription.id, end);
                        parts.push(Part { rule: Arc::clone(rule), before, done });
                    }
                }
            }
            answers += parts.len();
            if !parts.is_empty() {
                jobs.push(Job { source, parts });
            }
            if answers >= FULL_BATCH_ANSWERS {
                return Ok(Batch { jobs, scanned_to: event.sequence });
            }
        }
        Ok(Batch { jobs, scanned_to: page.scanned_to })
    }

    /// Carries out the jobs of a page, some at once, begun in order. Answers up to where everything is settled.
    async fn carry_out(&self, batch: Batch) -> Sequence {
        let (mut waiting, mut under_way) = (batch.jobs.into_iter(), JoinSet::new());
        let mut settled = batch.scanned_to;
        loop {
            while under_way.len() < self.concurrency
                && let Some(job) = waiting.next()
            {
                if self.ending.is_cancelled() {
                    settled = settled.min(Sequence(job.source.sequence.0 - 1));
                    break;
                }
                let answering = Answering::new(&self.engine, &self.ending, Arc::clone(&job.source));
                under_way.spawn(carry_out(answering, job));
            }
            let Some(ended) = under_way.join_next().await else { return settled };
            match ended {
                Ok(Ok(())) => {}
                // It is time to end: this event, and what comes after it, is for who goes on.
                Ok(Err(unsettled)) => settled = settled.min(Sequence(unsettled.0 - 1)),
                Err(error) => tracing::error!(%error, "a reaction ended badly"),
            }
        }
    }
}

/// Lets one rule after the other answer an event. Says which event it is if it could not be settled.
async fn carry_out(answering: Answering, job: Job) -> Result<(), Sequence> {
    for part in job.parts {
        let comes_in_order = match part.before {
            Some(before) => before.await.is_ok(),
            None => true,
        };
        if !comes_in_order || !answering.answer(part.rule).await {
            return Err(job.source.sequence);
        }
        // Nobody waits for it after the last event of the batch.
        let _ = part.done.send(());
    }
    Ok(())
}
