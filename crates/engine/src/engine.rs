//! What every part above the store shares: the store, the settings, the clock, the metrics, the end.

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
use crate::metrics::{FollowerLabel, Metrics};
use crate::redis::Redis;

/// The engine of one process.
pub struct Engine {
    /// Which of the nodes that share a database this is; another one after each start.
    pub node: Uuid,
    /// The log and the records.
    pub store: Arc<Store>,
    /// The settings of the rules.
    pub rules: Rules,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The cache of frames that followers share.
    pub fanout: Arc<Fanout>,
    /// Cancelled when the process is asked to stop: streams end, long polls answer.
    pub stopping: CancellationToken,
    /// What runs outside for commands that need it.
    pub external_calls: ExternalCalls,
    /// How those stand that follow the log on behalf of the café.
    pub followers: Followers,
    /// What nodes share beside the store, if they do.
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

    /// The same, with Redis.
    #[must_use]
    pub fn with_redis(self, redis: Option<Arc<Redis>>) -> Self {
        Self { redis, ..self }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The page that Prometheus reads.
    pub fn metrics_page(&self) -> String {
        // One that another node has taken over is not here any more.
        self.metrics.follower_lag.clear();
        let webhooks = self.metrics.webhooks.lag.lock().map(|lag| ("webhooks", lag));
        for (name, lag) in self.followers.lags(self.store.recent_events().head()).into_iter().chain(webhooks)
        {
            self.metrics.follower_lag.get_or_create(&FollowerLabel { name }).set(lag);
        }
        if let Some(redis) = &self.redis {
            redis.measure();
        }
        self.metrics.page()
    }

    /// A fresh id.
    pub fn fresh_id(&self) -> Uuid {
        self.ids.lock().fresh(self.now())
    }

    /// 32 random bytes: a key, or a throw of dice.
    pub fn random(&self) -> [u8; 32] {
        clock::random()
    }

    /// A correlation id for work that nobody asked for.
    pub fn fresh_correlation_id(&self) -> CorrelationId {
        self.fresh_id().into()
    }
}
