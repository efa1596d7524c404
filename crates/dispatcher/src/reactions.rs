//! The reaction engine: follows the log, and runs the reactions to each event in the lane of its tenant, once per rule and event,
//! in order for each rule.
//!
//! A tenant with much to do is behind alone: its lane reads the log from a cursor of its own. The saved position is the cursor of
//! the follower with the cursors of these lanes. After a crash, events are read again. The record of each rule holds the last event
//! that it reacted to, committed together with the reaction, so no reaction runs twice. (Its idempotency key ensures the same, but
//! only until keys expire.)

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{FollowerCursor, TenantId};
use agentcafe_engine::Engine;
use agentcafe_engine::followers::Progress;
use agentcafe_engine::lease::{LeaseGuard, while_held};
use agentcafe_eventlog::{EventFilter, Follower, ReadError};
use agentcafe_store::Failure;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::budget::CascadeBudgets;
use self::lane::{Lane, LaneContext};
use self::lanes::Lanes;
use self::rules::Rules;

mod budget;
mod lane;
mod lanes;
mod refusals;
mod rules;
mod run;

/// The name of the follower, and of its lease.
pub const FOLLOWER: &str = "reactions";
/// The most events that are assigned to lanes at a time.
const MAX_PAGE_EVENTS: usize = 256;
/// The pause after the store failed.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// The shortest time between two saved positions.
const SAVE_INTERVAL: Duration = Duration::from_millis(100);

/// The limits of reactions.
#[derive(Clone, Copy, Debug)]
pub struct ReactionLimits {
    /// The most events of one tenant whose reactions are in progress.
    pub concurrency: usize,
    /// The most reactions to the events of one correlation id within a minute.
    pub max_per_cause: u32,
}

/// Runs reactions on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>, limits: ReactionLimits) {
    let react = |lease: LeaseGuard| react(Arc::clone(&engine), lease.ending, limits);
    while_held(Arc::clone(&engine), FOLLOWER, react).await;
}

async fn react(engine: Arc<Engine>, ending: CancellationToken, limits: ReactionLimits) {
    let Some((progress, saved)) = resume(&engine, &ending).await else { return };
    let follower = Follower::new(Arc::clone(&engine.store), EventFilter::default(), saved.cursor);
    let context = Arc::new(LaneContext {
        rules: Rules::new(&engine),
        lanes: Lanes::new(progress, saved),
        budgets: CascadeBudgets::new(limits.max_per_cause),
        permits: LaneContext::permits(limits.concurrency),
        concurrency: limits.concurrency,
        engine,
        ending,
    });
    let router = Router { context: Arc::clone(&context), follower, running: JoinSet::new() };
    tokio::join!(router.run(), save_regularly(&context));
    if let Err(failure) = context.lanes.save().await {
        tracing::warn!(%failure, "the cursor of reactions was not saved; the next start reads some events again");
    }
}

/// Loads the position; none if `ending` is cancelled first.
async fn resume(engine: &Arc<Engine>, ending: &CancellationToken) -> Option<(Progress, FollowerCursor)> {
    let mut is_logged = false;
    loop {
        match Progress::resume(engine, FOLLOWER, ending).await {
            Ok(resumed) => return Some(resumed),
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

/// Saves the position after reactions, and when it has advanced far.
async fn save_regularly(context: &LaneContext) {
    let wait = async || {
        context.lanes.wait_until_due().await;
        if let Err(failure) = context.lanes.save().await {
            context.lanes.progress.fail(&failure.to_string());
        }
        sleep(SAVE_INTERVAL).await;
    };
    while context.ending.run_until_cancelled(wait()).await.is_some() {}
}

/// The failure of a read.
fn unread(error: ReadError) -> Failure {
    tracing::debug!(%error, "reactions cannot read the store");
    Failure::Unavailable("the store cannot be read right now")
}

/// Assigns the events of the log to the lanes of their tenants.
struct Router {
    context: Arc<LaneContext>,
    follower: Follower,
    /// The lanes, each until it has caught up.
    running: JoinSet<()>,
}

/// The member of a stored event that names its lane.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventTenant {
    tenant_id: TenantId,
}

impl Router {
    /// Runs until the lease ends, and then until all lanes have ended.
    async fn run(mut self) {
        let context = Arc::clone(&self.context);
        context.lanes.tenants().into_iter().for_each(|tenant| self.start(tenant));
        while context.ending.run_until_cancelled(self.follower.wait_for_more()).await.is_some() {
            if let Err(error) = self.route().await {
                context.lanes.progress.fail(&error.to_string());
                pause(&context.ending).await;
            }
        }
        while self.running.join_next().await.is_some() {}
    }

    /// Assigns the next events.
    async fn route(&mut self) -> Result<(), Failure> {
        while self.running.try_join_next().is_some() {}
        let context = Arc::clone(&self.context);
        context.lanes.progress.begin();
        // The head is read first: changes of rules are published before later events.
        let head = context.engine.store.recent_events().head();
        let now = context.engine.clock.stopwatch();
        if !context.rules.is_any_active(now).await.map_err(unread)? {
            let passed = head.0.saturating_sub(self.follower.scanned_to().0);
            context.engine.metrics.reactions.processed.inc_by(passed);
            self.follower.advance_to(head);
            context.lanes.advance(head);
            return Ok(());
        }
        if context.ending.run_until_cancelled(context.lanes.wait_for_room()).await.is_none() {
            return Ok(());
        }
        let page = self.follower.read(MAX_PAGE_EVENTS).await.map_err(unread)?;
        for event in &page.events {
            match serde_json::from_slice::<EventTenant>(&event.json) {
                Ok(EventTenant { tenant_id }) => {
                    if context.lanes.add(&tenant_id, event.sequence) {
                        self.start(tenant_id);
                    }
                }
                Err(error) => {
                    tracing::error!(sequence = %event.sequence, %error, "an event cannot be parsed; no rule reacts to it");
                }
            }
        }
        context.lanes.advance(page.scanned_to);
        Ok(())
    }

    /// Starts the lane of a tenant. One that panics starts again.
    fn start(&mut self, tenant: TenantId) {
        let context = Arc::clone(&self.context);
        self.running.spawn(async move {
            while let Err(error) = tokio::spawn(Lane::new(&context, &tenant).run()).await {
                tracing::error!(%error, tenant = tenant.as_str(), "the reactions of a tenant panicked, and continue");
                pause(&context.ending).await;
            }
        });
    }
}
