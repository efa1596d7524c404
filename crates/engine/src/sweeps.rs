//! What goes on by itself: presences and table sessions run out, expired idempotency keys and snapshots are deleted.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Command;
use agentcafe_domain::presence::ExpirePresence;
use agentcafe_domain::snapshots::{DeleteExpiredSnapshots, Snapshot};
use agentcafe_domain::tables::end::ExpireTableSessions;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::lease::{LeaseGuard, while_held};

/// How often expired keys and snapshots are looked for. Nobody sees them any more, so that there is no hurry.
const PURGE_EVERY: Duration = Duration::from_secs(10);

/// The lease of who sweeps.
const LEASE: &str = "sweeps";

/// How often each of the sweeps looks that can be set.
#[derive(Clone, Copy, Debug)]
pub struct SweepIntervals {
    /// For presences that have run out.
    pub presence: Duration,
    /// For table sessions that have.
    pub table_sessions: Duration,
}

/// Sweeps, on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>, intervals: SweepIntervals) {
    let sweeper = Arc::clone(&engine);
    let sweep = |lease: LeaseGuard| {
        let (engine, ending) = (Arc::clone(&sweeper), lease.ending);
        async move {
            tokio::join!(
                presence(&engine, intervals.presence, &ending),
                table_sessions(&engine, intervals.table_sessions, &ending),
                purge(&engine, &ending),
                snapshots(&engine, &ending),
            );
        }
    };
    while_held(engine, LEASE, sweep).await;
}

/// Marks those whose presence has run out.
async fn presence(engine: &Engine, every: Duration, ending: &CancellationToken) {
    let mut ticks = Ticks::new(ending, every);
    while ticks.goes_on().await {
        while sweep(engine, Arc::new(ExpirePresence { now: engine.now() })).await == ExpirePresence::BATCH {}
    }
}

/// Ends table sessions whose time has run out.
async fn table_sessions(engine: &Engine, every: Duration, ending: &CancellationToken) {
    let mut ticks = Ticks::new(ending, every);
    while ticks.goes_on().await {
        while sweep(engine, Arc::new(ExpireTableSessions { now: engine.now() })).await
            == ExpireTableSessions::BATCH
        {}
    }
}

/// Deletes expired idempotency keys.
async fn purge(engine: &Engine, ending: &CancellationToken) {
    let mut ticks = Ticks::new(ending, PURGE_EVERY);
    while ticks.goes_on().await {
        while engine.store.purge().await {}
    }
}

/// Deletes expired snapshots.
async fn snapshots(engine: &Engine, ending: &CancellationToken) {
    let mut ticks = Ticks::new(ending, PURGE_EVERY);
    while ticks.goes_on().await {
        while forget_batch(engine).await == DeleteExpiredSnapshots::BATCH {}
    }
}

/// When a sweep works. A tick never overlaps another.
struct Ticks<'e> {
    ending: &'e CancellationToken,
    interval: Interval,
}

impl<'e> Ticks<'e> {
    fn new(ending: &'e CancellationToken, every: Duration) -> Self {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ending, interval }
    }

    /// Waits for the next tick; `false` once it is time to end.
    async fn goes_on(&mut self) -> bool {
        tokio::select! {
            () = self.ending.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}

/// Does a batch, and tells how many there were in it; none if it failed, so that the next tick tries again.
async fn sweep(engine: &Engine, batch: Arc<dyn Command>) -> usize {
    match engine.execute_in_background(batch).await {
        Ok(reply) => serde_json::from_slice(&reply.data).unwrap_or(0),
        Err(failure) => {
            tracing::warn!(%failure, "a sweep failed; it is tried again");
            0
        }
    }
}

/// Deletes a batch of snapshots, and tells how many there were; none if it failed, so that the next tick tries again. They
/// are read outside the turn, which has nothing to wait for then.
async fn forget_batch(engine: &Engine) -> usize {
    match engine.store.find::<Snapshot>(DeleteExpiredSnapshots::due(engine.now())).await {
        Ok(expired) if expired.is_empty() => 0,
        Ok(expired) => sweep(engine, Arc::new(DeleteExpiredSnapshots { expired })).await,
        Err(error) => {
            tracing::warn!(%error, "expired snapshots were not deleted; it is tried again");
            0
        }
    }
}
