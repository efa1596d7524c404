//! Leases: background work runs on one node at a time. A node that crashes or is cut off loses its lease within seconds. A
//! node that does not share its database needs no lease.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{AcquireLease, Lease, LeaseToken, ReleaseLease};
use agentcafe_store::Failure;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// How long a lease is valid after its last renewal.
const TTL: Duration = Duration::from_secs(5);
/// How long before its end a node that could not renew it stops, so that work in progress ends in time.
const MARGIN: Duration = Duration::from_millis(1_500);
/// The interval between renewals, and between checks whether it is free.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failed renewal.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// A lease that this node holds.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    /// The token that fences writes; none on a node that does not share its database.
    pub token: Option<LeaseToken>,
    /// Cancelled when the lease is lost, or the engine stops.
    pub ending: CancellationToken,
}

/// Runs `work` while this node holds the lease with this name, again each time it acquires it, until the engine stops. `work`
/// must end soon after [`LeaseGuard::ending`] is cancelled.
pub async fn while_held<Working: Future<Output = ()>>(
    engine: Arc<Engine>,
    name: &'static str,
    work: impl Fn(LeaseGuard) -> Working,
) {
    if !engine.store.is_shared() {
        return work(LeaseGuard { token: None, ending: engine.stopping.clone() }).await;
    }
    let contender = Contender { engine: &engine, token: LeaseToken { name, holder: engine.node } };
    while let Some(held_since) = contender.acquire().await {
        tracing::info!(lease = name, "lease acquired");
        let ending = engine.stopping.child_token();
        let lease = LeaseGuard { token: Some(contender.token), ending: ending.clone() };
        let working = async {
            work(lease).await;
            ending.cancel();
        };
        tokio::join!(working, contender.renew(held_since, &ending));
        contender.release().await;
    }
}

/// A node that acquires a lease or holds it.
struct Contender<'e> {
    engine: &'e Engine,
    token: LeaseToken,
}

impl Contender<'_> {
    /// Waits until this node holds the lease, and returns since when, by the stopwatch; none if the engine stops first.
    async fn acquire(&self) -> Option<Duration> {
        let mut ticks = interval(RENEW_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.engine.stopping.run_until_cancelled(ticks.tick()).await?;
            if !self.is_free().await {
                continue;
            }
            let submitted_at = self.engine.clock.stopwatch();
            if matches!(self.submit().await, Ok(true)) {
                return Some(submitted_at);
            }
        }
    }

    /// Whether the lease seems to be free. Reading it is cheaper than an attempt that fails, which costs a commit.
    async fn is_free(&self) -> bool {
        let lease = self.engine.store.get::<Lease>(Lease::key_of(self.token.name)).await;
        lease.is_ok_and(|lease| lease.is_none_or(|lease| lease.is_free(self.token.holder, self.engine.now())))
    }

    async fn submit(&self) -> Result<bool, Failure> {
        let ttl_ms = i64::try_from(TTL.as_millis()).unwrap_or(i64::MAX);
        let claim = Arc::new(AcquireLease { token: self.token, ttl_ms });
        let reply = self.engine.execute_in_background(claim).await?;
        Ok(serde_json::from_slice(&reply.data).unwrap_or(false))
    }

    /// Renews the lease until `ending`, which it cancels if renewals fail for too long or another node has taken over.
    async fn renew(&self, mut held_since: Duration, ending: &CancellationToken) {
        let mut pause = RENEW_INTERVAL;
        loop {
            let left = (held_since + TTL - MARGIN).saturating_sub(self.engine.clock.stopwatch());
            if left.is_zero() {
                tracing::warn!(lease = self.token.name, "lease not renewed; another node may take over");
                return ending.cancel();
            }
            tokio::select! {
                () = ending.cancelled() => return,
                () = sleep(pause.min(left)) => {}
            }
            let submitted_at = self.engine.clock.stopwatch();
            // A store that does not answer in time must not extend the lease.
            pause = match tokio::time::timeout(left, self.submit()).await {
                Ok(Ok(true)) => {
                    held_since = submitted_at;
                    RENEW_INTERVAL
                }
                Ok(Ok(false)) => {
                    tracing::warn!(lease = self.token.name, "lease lost: another node has taken over");
                    return ending.cancel();
                }
                Ok(Err(_)) | Err(_) => RETRY_AFTER,
            };
        }
    }

    /// Releases the lease, if this node still holds it, so that another node can take over at once.
    async fn release(&self) {
        let release = Arc::new(ReleaseLease { token: self.token });
        if let Err(failure) = self.engine.execute_in_background(release).await {
            tracing::debug!(lease = self.token.name, %failure, "lease not released; it expires");
        }
    }
}
