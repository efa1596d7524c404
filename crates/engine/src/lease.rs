//! Work that one node at a time does on behalf of all: whoever holds the lease does it, and who dies or is cut off loses it
//! within seconds. A node that has its database to itself does all of it, and asks nobody.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{AcquireLease, Lease, LeaseToken, ReleaseLease};
use agentcafe_store::Failure;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// How long a lease lasts from when it was last renewed.
const LASTS: Duration = Duration::from_secs(5);
/// How long before its end a node that could not renew it gives up: what it has begun must end in time.
const MARGIN: Duration = Duration::from_millis(1_500);
/// How often it is renewed, or looked whether it is free.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon renewing is tried again when it fails.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The time in which a node holds a lease.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    /// What writes of this time show; none on a node that has its database to itself.
    pub hold: Option<LeaseToken>,
    /// Cancelled when the lease is lost, or the engine stops.
    pub ending: CancellationToken,
}

/// Does some work while this node holds the lease of this name, again each time it gets it, until the engine stops. The work
/// ends soon after its tenure does.
pub async fn while_held<Working: Future<Output = ()>>(
    engine: Arc<Engine>,
    name: &'static str,
    work: impl Fn(LeaseGuard) -> Working,
) {
    if !engine.store.is_shared() {
        return work(LeaseGuard { hold: None, ending: engine.stopping.clone() }).await;
    }
    let contender = Contender { engine: &engine, hold: LeaseToken { name, holder: engine.node } };
    while let Some(held_since) = contender.claim().await {
        tracing::info!(lease = name, "this node does it now");
        let ending = engine.stopping.child_token();
        let lease = LeaseGuard { hold: Some(contender.hold), ending: ending.clone() };
        let working = async {
            work(lease).await;
            ending.cancel();
        };
        tokio::join!(working, contender.renew(held_since, &ending));
        contender.give_back().await;
    }
}

/// A node that wants a lease, or holds it.
struct Contender<'e> {
    engine: &'e Engine,
    hold: LeaseToken,
}

impl Contender<'_> {
    /// Waits until the lease is this node's, and answers since when, by the stopwatch; none if the engine stops before.
    async fn claim(&self) -> Option<Duration> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.engine.stopping.cancelled() => return None,
                _ = ticks.tick() => {}
            }
            if !self.is_free().await {
                continue;
            }
            let asked_at = self.engine.clock.stopwatch();
            if matches!(self.submit().await, Ok(true)) {
                return Some(asked_at);
            }
        }
    }

    /// Whether it looks as if the lease could be had: asking in vain costs a turn.
    async fn is_free(&self) -> bool {
        let lease = self.engine.store.get::<Lease>(Lease::key_of(self.hold.name)).await;
        lease.is_ok_and(|lease| lease.is_none_or(|lease| lease.is_free(self.hold.holder, self.engine.now())))
    }

    async fn submit(&self) -> Result<bool, Failure> {
        let ttl_ms = i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX);
        let claim = Arc::new(AcquireLease { token: self.hold, ttl_ms });
        let reply = self.engine.execute_in_background(claim).await?;
        Ok(serde_json::from_slice(&reply.data).unwrap_or(false))
    }

    /// Renews the lease until the tenure ends, and ends it if that fails for too long, or another node has taken over.
    async fn renew(&self, mut held_since: Duration, ending: &CancellationToken) {
        let mut pause = LOOK_EVERY;
        loop {
            let left = (held_since + LASTS - MARGIN).saturating_sub(self.engine.clock.stopwatch());
            if left.is_zero() {
                tracing::warn!(
                    lease = self.hold.name,
                    "the lease could not be renewed; another node may take over"
                );
                return ending.cancel();
            }
            tokio::select! {
                () = ending.cancelled() => return,
                () = sleep(pause.min(left)) => {}
            }
            let asked_at = self.engine.clock.stopwatch();
            // Whoever does not answer in time must not keep this node believing.
            pause = match tokio::time::timeout(left, self.submit()).await {
                Ok(Ok(true)) => {
                    held_since = asked_at;
                    LOOK_EVERY
                }
                Ok(Ok(false)) => {
                    tracing::warn!(lease = self.hold.name, "another node has taken over");
                    return ending.cancel();
                }
                Ok(Err(_)) | Err(_) => RETRY_AFTER,
            };
        }
    }

    /// Lets another node take over at once, if the lease is still this node's.
    async fn give_back(&self) {
        if let Err(failure) =
            self.engine.execute_in_background(Arc::new(ReleaseLease { token: self.hold })).await
        {
            tracing::debug!(lease = self.hold.name, %failure, "the lease runs out by itself");
        }
    }
}
