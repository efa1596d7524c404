//! What goes on by itself: presences run out, and expired idempotency keys are deleted.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::presence::Expire;
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::Engine;

/// How often expired keys are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(10);

/// Marks those whose presence has run out, every `every`, until the engine stops. A tick never overlaps another.
pub async fn presence(engine: Arc<Engine>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = engine.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        while expire_batch(&engine).await == Expire::BATCH {}
    }
}

/// Marks a batch, and tells how many there were; none if it failed, so that the next tick tries again.
async fn expire_batch(engine: &Engine) -> usize {
    match engine.execute_in_background(Arc::new(Expire { now: engine.now() })).await {
        Ok(reply) => serde_json::from_slice(&reply.data).unwrap_or(0),
        Err(failure) => {
            tracing::warn!(%failure, "the presence sweep failed; it is tried again");
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
