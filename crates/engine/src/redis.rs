//! What nodes share through Redis, and how that stands.

use std::sync::Arc;

use agentcafe_domain::ids::{ActorId, RoomId, TenantId};
pub use agentcafe_keyspace::LinkStatus;
use agentcafe_keyspace::{Keys, Link, RoomName, unread};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use crate::unread::UnreadCopies;

/// Redis, as the engine uses it: for limits that nodes share, and for copies of counts. Nothing depends on it.
pub struct Redis {
    /// The connection.
    pub link: Arc<Link>,
    /// The names of keys.
    pub keys: Keys,
    /// Copies of unread counts.
    pub unread: UnreadCopies,
    /// What is counted.
    pub metrics: RedisMetrics,
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
    /// Redis behind a link.
    pub fn new(link: Arc<Link>, keys: Keys, metrics: RedisMetrics) -> Arc<Self> {
        Arc::new(Self { link, keys, unread: UnreadCopies::default(), metrics })
    }

    /// The copy of an actor's unread count in a room; none if Redis is away.
    pub async fn unread_count(&self, tenant: &TenantId, room: &RoomId, actor: &ActorId) -> Option<u64> {
        let room = RoomName::of(tenant, room);
        unread::get(&self.link, &self.keys, &room, actor).await.ok()
    }

    /// How the connection stands.
    pub fn status(&self) -> LinkStatus {
        self.link.status()
    }

    /// Brings the gauges up to date.
    pub(crate) fn measure(&self) {
        let status = self.link.status();
        self.metrics.connected.set(i64::from(status.connected));
        self.metrics.failures.set(i64::try_from(status.failures).unwrap_or(i64::MAX));
    }
}
