//! What goes on by itself: presences and table sessions run out, expired idempotency keys and snapshots are deleted.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    command::Command,
    presence::Expire,
    session::ExpireSessions,
    snapshot::{Forget, Snapshot},
};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::engine::Engine;

/// How often expired keys and snapshots are looked for. Nobody sees them any more, so that there is no hurry.
const PURGE_EVERY: Duration = Duration::from_secs(10);

/// Marks those whose presence has run out, every `every`, until the engine stops.
pub async fn presence(engine: Arc<Engine>, every: Duration) {
    let mut ticks = Ticks::new(&engine, every);
    while ticks.goes_on().await {
        while sweep(&engine, Arc::new(Expire { now: engine.now() })).await == Expire::BATCH {}
    }
}

/// Ends table sessions whose time has run out, every `every`, until the engine stops.
pub async fn table_sessions(engine: Arc<Engine>, every: Duration) {
    let mut ticks = Ticks::new(&engine, every);
    while ticks.goes_on().await {
        while sweep(&engine, Arc::new(ExpireSessions { now: engine.now() })).await == ExpireSessions::BATCH {}
    }
}

/// Deletes expired idempotency keys, until the engine stops.
pub async fn purge(engine: Arc<Engine>) {
    let mut ticks = Ticks::new(&engine, PURGE_EVERY);
    while ticks.goes_on().await {
        while engine.store.purge().await {}
    }
}

/// Deletes expired snapshots, until the engine stops.
pub async fn snapshots(engine: Arc<Engine>) {
    let mut ticks = Ticks::new(&engine, PURGE_EVERY);
    while ticks.goes_on().await {
        while forget_batch(&engine).await == Forget::BATCH {}
    }
}

/// When a sweep works. A tick never overlaps another.
struct Ticks<'e> {
    engine: &'e Engine,
    interval: Interval,
}

impl<'e> Ticks<'e> {
    fn new(engine: &'e Engine, every: Duration) -> Self {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { engine, interval }
    }

    /// Waits for the next tick; `false` once the engine stops.
    async fn goes_on(&mut self) -> bool {
        tokio::select! {
            () = self.engine.stopping.cancelled() => false,
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
    match engine.store.find::<Snapshot>(Forget::due(engine.now())).await {
        Ok(expired) if expired.is_empty() => 0,
        Ok(expired) => sweep(engine, Arc::new(Forget { expired })).await,
        Err(error) => {
            tracing::warn!(%error, "expired snapshots were not deleted; it is tried again");
            0
        }
    }
}
