//! Stores how the time of the store relates to that since the boot of this machine, so that a restart continues with it.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{ClockAnchor, NoteClockAnchor};
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::Engine;

const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Smaller changes need not survive a restart.
const MIN_CHANGE_MS: i64 = 1_000;

/// Stores the anchor of this node's clock whenever it has changed, until the engine stops.
pub async fn run(engine: Arc<Engine>) {
    let Some(boot_id) = engine.clock.boot_id() else { return };
    // If it cannot be read, it is stored again.
    let found = engine.store.get::<ClockAnchor>(ClockAnchor::key_of(boot_id)).await.ok().flatten();
    let mut stored = found.map(|anchor| anchor.offset_ms);
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while engine.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(anchor) = engine.store.steady_clock().anchor() else { return };
        let offset_ms = anchor.offset_ms;
        if stored.is_some_and(|stored| (offset_ms - stored).abs() < MIN_CHANGE_MS) {
            continue;
        }
        match engine.execute_in_background(Arc::new(NoteClockAnchor(anchor))).await {
            Ok(_) => stored = Some(offset_ms),
            Err(error) => tracing::warn!(?error, "the time could not be stored for a restart"),
        }
    }
}
