//! The engine: the store, rules, clock and metrics that everything above the store shares.

use std::sync::Arc;

use agentcafe_domain::kernel::{Clock, CorrelationId, IdSource, Rules, Timestamp};
use agentcafe_eventlog::Fanout;
use agentcafe_store::Store;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::external_calls::{ExternalCallRunner, ExternalCalls};
use crate::followers::Followers;
use crate::metrics::Metrics;
use crate::redis::Redis;

/// The engine of one process.
pub struct Engine {
    /// The id of this node among those that share a database. It changes with each start.
    pub node: Uuid,
    /// The log and the records.
    pub store: Arc<Store>,
    /// The settings of the rules.
    pub rules: Rules,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The cache of frames that followers share.
    pub fanout: Arc<Fanout>,
    /// Cancelled when the process is to stop: streams end, long polls are answered.
    pub stopping: CancellationToken,
    /// The calls to external systems that commands need.
    pub external_calls: ExternalCalls,
    /// The status of the durable followers.
    pub followers: Followers,
    /// Redis, if it is configured.
    pub redis: Option<Arc<Redis>>,
    ids: Mutex<Box<dyn IdSource>>,
}

impl Engine {
    /// An engine on a store.
    pub fn new(
        store: Arc<Store>,
        rules: Rules,
        metrics: Arc<Metrics>,
        mut ids: Box<dyn IdSource>,
        runner: Arc<dyn ExternalCallRunner>,
    ) -> Self {
        let (stopping, clock) = (CancellationToken::new(), store.clock());
        let node = ids.fresh(clock.now());
        let (external_calls, fanout) = (ExternalCalls::new(runner), Arc::default());
        let (followers, ids) = (Followers::default(), Mutex::new(ids));
        Self {
            node,
            store,
            rules,
            clock,
            metrics,
            fanout,
            stopping,
            external_calls,
            followers,
            redis: None,
            ids,
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The metrics in Prometheus' text format.
    pub fn metrics_page(&self) -> String {
        // Followers that another node has taken over must not stay.
        self.metrics.follower_lag.clear();
        let webhooks = self.metrics.webhooks.lag.lock().map(|lag| ("webhooks", lag));
        for (name, lag) in self.followers.lags(self.store.recent_events().head()).into_iter().chain(webhooks)
        {
            self.metrics.follower_lag.get_or_create(&[("name", name)]).set(lag);
        }
        self.metrics
            .clock_ahead_seconds
            .set(self.store.steady_clock().wall_clock_ahead_ms() as f64 / 1_000.0);
        if let Some(redis) = &self.redis {
            redis.measure();
        }
        self.metrics.page()
    }

    /// A fresh id.
    pub fn fresh_id(&self) -> Uuid {
        self.ids.lock().fresh(self.now())
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        clock::random()
    }

    /// A correlation id for work that no request caused.
    pub fn fresh_correlation_id(&self) -> CorrelationId {
        self.fresh_id().into()
    }
}
