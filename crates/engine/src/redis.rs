//! Limits and unread counts that nodes share through Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{ActorId, ActorInRoom, RoomId, TenantId};
use agentcafe_domain::moderation::{ModerationRules, RecentActivity};
pub use agentcafe_redis::{ConnectionStatus, RedisUse};
use agentcafe_redis::{Keys, RedisConnection, RoomName, moderation_activity, unread};
use agentcafe_store::shared_rate_windows::{BoxFuture, SharedRateWindows};

use crate::metrics::RedisMetrics;
use crate::unread::UnreadCopies;

/// Redis as the engine uses it: for limits that nodes share, and for copies of unread counts. Commands work without it.
pub struct Redis {
    /// The connection.
    pub connection: Arc<RedisConnection>,
    /// The names of keys.
    pub keys: Keys,
    /// The copies of unread counts.
    pub unread: UnreadCopies,
    /// The metrics.
    pub metrics: RedisMetrics,
    /// How long entries of rate windows are kept.
    retention: Duration,
    /// The prefix of the names of this node's entries.
    name: String,
    saved: AtomicU64,
}

impl Redis {
    /// Redis behind a connection. `name` differs between the nodes that share it.
    pub fn new(
        connection: Arc<RedisConnection>,
        keys: Keys,
        metrics: RedisMetrics,
        rules: &ModerationRules,
        name: String,
    ) -> Arc<Self> {
        let retention = Duration::from_millis(rules.remembered_ms().unsigned_abs());
        let unread = UnreadCopies::default();
        Arc::new(Self { connection, keys, unread, metrics, retention, name, saved: AtomicU64::new(0) })
    }

    /// The copy of an actor's unread count in a room; none while Redis is unavailable.
    pub async fn unread_count(&self, tenant: &TenantId, room: &RoomId, actor: &ActorId) -> Option<u64> {
        let room = RoomName::new(tenant, room);
        unread::get(&self.connection, &self.keys, &room, actor).await.ok()
    }

    /// The status of the connection.
    pub fn status(&self) -> ConnectionStatus {
        self.connection.status()
    }

    fn fresh_name(&self) -> String {
        format!("{}-{}", self.name, self.saved.fetch_add(1, Ordering::Relaxed))
    }

    /// Updates the gauges.
    pub(crate) fn measure(&self) {
        let status = self.connection.status();
        self.metrics.connected.set(i64::from(status.connected));
        self.metrics.failures.set(i64::try_from(status.failures).unwrap_or(i64::MAX));
    }
}

/// While Redis is unavailable, each node applies its own windows.
impl SharedRateWindows for Redis {
    fn load<'a>(&'a self, actors: &'a [ActorInRoom]) -> BoxFuture<'a, Option<Vec<Vec<RecentActivity>>>> {
        Box::pin(async move {
            let loaded = moderation_activity::load(&self.connection, &self.keys, actors).await.ok();
            if loaded.is_none() {
                self.metrics.own_limits.inc();
            }
            loaded
        })
    }

    fn save(&self, recent: Vec<(ActorInRoom, RecentActivity)>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let fresh_name = || self.fresh_name();
            let saved =
                moderation_activity::save(&self.connection, &self.keys, &recent, self.retention, fresh_name)
                    .await;
            if let Err(error) = saved {
                tracing::debug!(%error, "rate windows were not shared with other nodes");
            }
        })
    }
}
