//! What nodes share through Redis, and how that stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{ActorId, ActorInRoom, RoomId, TenantId};
use agentcafe_domain::moderation::{ModerationRules, RecentActivity};
pub use agentcafe_redis::ConnectionStatus;
use agentcafe_redis::{Keys, RedisConnection, RoomName, unread, windows};
use agentcafe_store::shared_rate_windows::{BoxFuture, SharedRateWindows};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::unread::UnreadCopies;

/// Redis, as the engine uses it: for limits that nodes share, and for copies of counts. Nothing depends on it.
pub struct Redis {
    /// The connection.
    pub connection: Arc<RedisConnection>,
    /// The names of keys.
    pub keys: Keys,
    /// Copies of unread counts.
    pub unread: UnreadCopies,
    /// What is counted.
    pub metrics: RedisMetrics,
    /// How long what moderation remembers is kept.
    remembered: Duration,
    /// Tells what this node wrote from what others did.
    name: String,
    written: AtomicU64,
}

/// What is counted of Redis; zero where there is none.
#[derive(Clone, Default)]
pub struct RedisMetrics {
    /// What was held against this node's own limits, because Redis was away.
    pub own_limits: Counter,
    connected: Gauge,
    failures: Gauge,
}

impl RedisMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { own_limits, connected, failures } = metrics.clone();
        registry.register("redis_connected", "Whether there is a connection to Redis", connected);
        registry.register(
            "redis_failures",
            "Connections to Redis lost, or not made, since the start",
            failures,
        );
        registry.register(
            "redis_own_limits",
            "What was held against the limits of this node alone, because Redis was away",
            own_limits,
        );
        metrics
    }
}

impl Redis {
    /// Redis behind a link. Nodes that share it have different names.
    pub fn new(
        connection: Arc<RedisConnection>,
        keys: Keys,
        metrics: RedisMetrics,
        rules: &ModerationRules,
        name: String,
    ) -> Arc<Self> {
        let remembered = Duration::from_millis(rules.remembered_ms().unsigned_abs());
        let unread = UnreadCopies::default();
        Arc::new(Self { connection, keys, unread, metrics, remembered, name, written: AtomicU64::new(0) })
    }

    /// The copy of an actor's unread count in a room; none if Redis is away.
    pub async fn unread_count(&self, tenant: &TenantId, room: &RoomId, actor: &ActorId) -> Option<u64> {
        let room = RoomName::new(tenant, room);
        unread::get(&self.connection, &self.keys, &room, actor).await.ok()
    }

    /// How the connection stands.
    pub fn status(&self) -> ConnectionStatus {
        self.connection.status()
    }

    fn fresh_name(&self) -> String {
        format!("{}-{}", self.name, self.written.fetch_add(1, Ordering::Relaxed))
    }

    /// Brings the gauges up to date.
    pub(crate) fn measure(&self) {
        let status = self.connection.status();
        self.metrics.connected.set(i64::from(status.connected));
        self.metrics.failures.set(i64::try_from(status.failures).unwrap_or(i64::MAX));
    }
}

/// While Redis is away, what each node knows is what holds for it.
impl SharedRateWindows for Redis {
    fn load<'a>(&'a self, actors: &'a [ActorInRoom]) -> BoxFuture<'a, Option<Vec<Vec<RecentActivity>>>> {
        Box::pin(async move {
            let loaded = windows::load(&self.connection, &self.keys, actors).await.ok();
            if loaded.is_none() {
                self.metrics.own_limits.inc();
            }
            loaded
        })
    }

    fn save(&self, past: Vec<(ActorInRoom, RecentActivity)>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let saved =
                windows::save(&self.connection, &self.keys, &past, self.remembered, || self.fresh_name())
                    .await;
            if let Err(away) = saved {
                tracing::debug!(%away, "other nodes were not told what moderation remembers");
            }
        })
    }
}
