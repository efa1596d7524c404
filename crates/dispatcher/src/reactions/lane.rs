//! The reactions of one tenant: reads its events from the log, matches them with its rules, and runs its reactions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Sequence, TenantId};
use agentcafe_domain::reactions::{MatchResult, SourceEvent};
use agentcafe_engine::Engine;
use agentcafe_eventlog::{EventFilter, Follower, LoggedEvent};
use agentcafe_store::Failure;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::budget::CascadeBudgets;
use super::lanes::Lanes;
use super::refusals::Refusals;
use super::rules::{CachedRule, Rules, TenantRules};
use super::run::ReactionRunner;
use super::{pause, unread};

/// The most events in one batch.
const MAX_BATCH_EVENTS: usize = 256;
/// A batch ends with the event that reaches this many reactions.
const MAX_BATCH_REACTIONS: usize = 1_024;
/// How many tenants may have all their reactions in progress at the same time. Further reactions wait, in turn for each tenant.
const MAX_BUSY_TENANTS: usize = 4;
/// The reactions to an event with more of them than this run one at a time, all in all, while other tenants have a lane: they take
/// long anyway, and would make the commit batches of the others longer.
const MAX_NARROW_REACTIONS: usize = 16;
/// After how many comparisons of a rule with an event other tasks get their turn on this thread.
const COMPARED_AT_ONCE: usize = 1_000;
/// How long refusals of a lane that is behind are only counted in memory.
const RECORD_REFUSALS_EVERY: Duration = Duration::from_secs(1);

/// What all lanes share.
pub(super) struct LaneContext {
    pub(super) engine: Arc<Engine>,
    pub(super) rules: Rules,
    pub(super) lanes: Lanes,
    pub(super) budgets: CascadeBudgets,
    pub(super) permits: Semaphore,
    pub(super) concurrency: usize,
    pub(super) ending: CancellationToken,
}

impl LaneContext {
    /// The permits of all reactions in progress, each a command.
    pub(super) fn permits(concurrency: usize) -> Semaphore {
        Semaphore::new(concurrency * MAX_BUSY_TENANTS)
    }
}

/// A reaction of a rule to an event.
struct Reaction {
    rule: Arc<CachedRule>,
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

/// The reactions of a tenant, until they have caught up.
pub(super) struct Lane {
    context: Arc<LaneContext>,
    tenant: TenantId,
    /// One reaction at a time waits for a permit, so that tenants get permits in turn.
    turn: Mutex<()>,
    /// Held by the reaction to an event with many of them.
    wide: Mutex<()>,
    refusals: Refusals,
}

impl Lane {
    pub(super) fn new(context: &Arc<LaneContext>, tenant: &TenantId) -> Arc<Self> {
        let (context, tenant) = (Arc::clone(context), tenant.clone());
        let refusals = Refusals::new(&context.engine);
        Arc::new(Self { context, tenant, turn: Mutex::default(), wide: Mutex::default(), refusals })
    }

    /// Runs until no event is left, or the lease ends.
    pub(super) async fn run(self: Arc<Self>) {
        let LaneContext { lanes, ending, .. } = &*self.context;
        loop {
            lanes.progress.begin();
            match self.advance().await {
                Ok(()) if lanes.finish(&self.tenant) => return,
                Ok(()) => {}
                Err(error) => {
                    lanes.progress.fail(&error.to_string());
                    pause(ending).await;
                }
            }
            if ending.is_cancelled() {
                if let Err(failure) = self.refusals.record().await {
                    tracing::warn!(%failure, "refused reactions were not recorded in their rules");
                }
                return;
            }
        }
    }

    /// Processes the next batch of events, and records refusals from time to time.
    async fn advance(self: &Arc<Self>) -> Result<(), Failure> {
        let LaneContext { engine, lanes, .. } = &*self.context;
        let (cursor, last) = lanes.position(&self.tenant);
        if cursor < last {
            let filter = EventFilter { tenant: Some(self.tenant.clone()), ..EventFilter::default() };
            let mut follower = Follower::new(Arc::clone(&engine.store), filter, cursor);
            let mut page = follower.read(MAX_BATCH_EVENTS).await.map_err(unread)?;
            // Later ones are not assigned to this lane yet, or are so again.
            page.events.retain(|event| event.sequence <= last);
            let rules = self.context.rules.of_tenant(&self.tenant).await.map_err(unread)?;
            let (jobs, matched_to) = self.match_events(&page.events, &rules).await;
            let scanned_to = matched_to.unwrap_or(page.scanned_to).min(last);
            let has_reactions = !jobs.is_empty();
            let processed_to = self.run_jobs(jobs, scanned_to).await;
            let processed = page.events.iter().filter(|event| event.sequence <= processed_to).count();
            engine.metrics.reactions.processed.inc_by(processed as u64);
            lanes.reach(&self.tenant, processed_to, has_reactions);
        }
        let (cursor, last) = lanes.position(&self.tenant);
        if cursor >= last || self.refusals.age() >= RECORD_REFUSALS_EVERY {
            self.refusals.record().await?;
        }
        Ok(())
    }

    /// Matches events with the rules. Returns the last event that was matched, if it is not the last of all.
    async fn match_events(
        &self,
        events: &[LoggedEvent],
        rules: &TenantRules,
    ) -> (Vec<Job>, Option<Sequence>) {
        let mut last_of: HashMap<Uuid, oneshot::Receiver<()>> = HashMap::new();
        let (mut jobs, mut count, mut compared) = (Vec::new(), 0, 0);
        for event in events.iter().filter(|_| !rules.is_empty()) {
            let source = match SourceEvent::read(&event.json) {
                Ok(source) => Arc::new(source),
                Err(error) => {
                    tracing::error!(sequence = %event.sequence, %error, "an event cannot be parsed; no rule reacts to it");
                    continue;
                }
            };
            let mut reactions = Vec::new();
            for rule in self.answering(&source, rules) {
                let (done, end) = oneshot::channel();
                let previous = last_of.insert(rule.stored.subscription.id, end);
                reactions.push(Reaction { rule, previous, done });
            }
            count += reactions.len();
            if !reactions.is_empty() {
                jobs.push(Job { source, reactions });
            }
            if count >= MAX_BATCH_REACTIONS {
                return (jobs, Some(event.sequence));
            }
            compared += rules.len();
            if compared >= COMPARED_AT_ONCE {
                compared = 0;
                yield_now().await;
            }
        }
        (jobs, None)
    }

    /// The rules that answer an event.
    fn answering(&self, source: &SourceEvent, rules: &TenantRules) -> Vec<Arc<CachedRule>> {
        let LaneContext { engine, budgets, .. } = &*self.context;
        let (now, elapsed) = (engine.now(), engine.clock.stopwatch());
        let outcomes = &engine.metrics.reactions.outcomes;
        let mut answering = Vec::new();
        if budgets.is_spent(source, elapsed) {
            // Its rules have recorded that when the budget ran out.
            outcomes.get("limited").inc();
            return answering;
        }
        for rule in rules.iter() {
            match rule.verdict(source, now) {
                MatchResult::Unconcerned => {}
                MatchResult::Skips => drop(outcomes.get("skipped").inc()),
                MatchResult::EndsChain => {
                    outcomes.get("limited").inc();
                    self.refusals.add(&rule.stored, source, "hop_limit");
                }
                MatchResult::Answers if budgets.take(source, elapsed) => answering.push(Arc::clone(rule)),
                MatchResult::Answers => {
                    outcomes.get("limited").inc();
                    self.refusals.add(&rule.stored, source, "cascade_limit");
                }
            }
        }
        answering
    }

    /// Runs the jobs of a batch, some concurrently, started in order. Returns up to where all events have been processed.
    async fn run_jobs(self: &Arc<Self>, jobs: Vec<Job>, scanned_to: Sequence) -> Sequence {
        let (mut waiting, mut running) = (jobs.into_iter(), JoinSet::new());
        let mut processed_to = scanned_to;
        loop {
            while running.len() < self.context.concurrency
                && let Some(job) = waiting.next()
            {
                if self.context.ending.is_cancelled() {
                    processed_to = processed_to.min(Sequence(job.source.sequence.0 - 1));
                    break;
                }
                running.spawn(Arc::clone(self).run_job(job));
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

    /// Runs the reactions to an event, one after the other. The error is the event's sequence: it has not been processed.
    async fn run_job(self: Arc<Self>, Job { source, reactions }: Job) -> Result<(), Sequence> {
        let LaneContext { engine, ending, permits, lanes, .. } = &*self.context;
        let is_wide = reactions.len() > MAX_NARROW_REACTIONS;
        let runner = ReactionRunner::new(engine, ending, source, &self.refusals);
        for Reaction { rule, previous, done } in reactions {
            let is_in_order = match previous {
                Some(previous) => previous.await.is_ok(),
                None => true,
            };
            if !is_in_order {
                return Err(runner.sequence());
            }
            let _wide = if is_wide && !lanes.is_single() { Some(self.wide.lock().await) } else { None };
            let turn = self.turn.lock().await;
            let _permit = permits.acquire().await.expect("the semaphore is never closed");
            drop(turn);
            if !runner.run(rule).await {
                return Err(runner.sequence());
            }
            // The last event of a batch has no receiver.
            let _ = done.send(());
        }
        Ok(())
    }
}
