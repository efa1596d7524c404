//! The process itself: health and readiness.

use std::time::Duration;

use agentcafe_domain::kernel::OperationError;
use serde_json::json;
use tokio::time::timeout;

use crate::service::Service;

mod health;

pub use health::Health;

/// How long a write may take until the store counts as not ready.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

impl Service {
    /// Checks that the store takes a write, and that no follower is stuck.
    ///
    /// # Errors
    /// `ERR_UNAVAILABLE {reasons}`.
    pub async fn check_readiness(&self) -> Result<(), OperationError> {
        let mut reasons = Vec::new();
        if self.engine.stopping.is_cancelled() {
            reasons.push("the server is stopping".to_owned());
        } else if !self.takes_writes().await {
            reasons.push("the store cannot be written".to_owned());
        }
        reasons.extend(self.engine.followers.stuck(self.engine.clock.stopwatch()));
        if reasons.is_empty() {
            return Ok(());
        }
        let mut error = OperationError::unavailable("not ready");
        error.error.details.insert("reasons".to_owned(), json!(reasons));
        Err(error)
    }

    /// How far the wall clock is ahead of the time of the store, in milliseconds; none while it is plausible.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        Some(self.engine.store.steady_clock().wall_clock_ahead_ms()).filter(|ahead| *ahead != 0)
    }

    /// Whether the store takes writes. One probe at a time, so that probes do not fill the queue of commands.
    async fn takes_writes(&self) -> bool {
        let probe = async {
            let _one_at_a_time = self.probing.lock().await;
            self.engine.store.probe().await
        };
        timeout(PROBE_TIMEOUT, probe).await.unwrap_or(false)
    }
}
