//! What goes on by itself: presences and table sessions run out, and expired idempotency keys are deleted.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{command::Command, presence::Expire, session::ExpireSessions};
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::Engine;

/// How often expired keys are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(10);

/// Marks those whose presence has run out, every `every`, until the engine stops.
pub async fn presence(engine: Arc<Engine>, every: Duration) {
    sweep(&engine, every, Expire::BATCH, || Arc::new(Expire { now: engine.now() })).await;
}

/// Ends table sessions whose time has run out, every `every`, until the engine stops.
pub async fn table_sessions(engine: Arc<Engine>, every: Duration) {
    sweep(&engine, every, ExpireSessions::BATCH, || Arc::new(ExpireSessions { now: engine.now() })).await;
}

/// Does a batch, and others as long as they are full, at every tick. A tick never overlaps another.
async fn sweep(engine: &Engine, every: Duration, full: usize, batch: impl Fn() -> Arc<dyn Command>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = engine.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        while sweep_batch(engine, batch()).await == full {}
    }
}

/// Does a batch, and tells how many there were in it; none if it failed, so that the next tick tries again.
async fn sweep_batch(engine: &Engine, batch: Arc<dyn Command>) -> usize {
    match engine.execute_in_background(batch).await {
        Ok(reply) => serde_json::from_slice(&reply.data).unwrap_or(0),
        Err(failure) => {
            tracing::warn!(%failure, "a sweep failed; it is tried again");
            0
        }
    }
}

/// Deletes expired idempotency keys, until the engine stops.
pub async fn purge(engine: Arc<Engine>) {
    let mut ticks = interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = engine.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        while engine.store.purge().await {}
    }
}
