//! The service as a whole: its settings, and what its parts share.

use std::{sync::Arc, time::Duration};

use agentcafe_client::Api;
use agentcafe_domain::kernel::{command::IdSource, ids::TenantId, time::Clock};
use agentcafe_http::{Door, HttpMetrics, RateLimiter, StreamHub, Token};
use parking_lot::{Mutex, RwLock};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{archive::Archive, feed, hub::Hub, room_stream::Listeners, routes, standing::Standing};

/// The settings of the service.
#[derive(Clone)]
pub struct Settings {
    /// The API that is followed.
    pub source: Api,
    /// The longest pause before the source is connected again.
    pub source_reconnect: Duration,
    /// How long the source may be silent before its connection counts as dead.
    pub source_silence: Duration,
    /// The token that requests must carry.
    pub token: Token,
    /// How often a client is shown that the service is alive.
    pub heartbeat: Duration,
    /// How many events of a room are kept in memory.
    pub room_history_limit: usize,
    /// How many rooms are kept in memory.
    pub max_rooms: usize,
    /// The tenant of requests that name none.
    pub default_tenant: TenantId,
    /// The most clients.
    pub max_clients: usize,
    /// What the projector keeps, if there is one.
    pub archive: Option<Archive>,
}

/// The service as a whole.
pub struct Service {
    pub(crate) settings: Settings,
    pub(crate) standing: Standing,
    pub(crate) stopping: CancellationToken,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) door: Arc<Door>,
    metrics: Metrics,
    hub: RwLock<Arc<Hub>>,
}

struct Metrics {
    registry: Registry,
    http: HttpMetrics,
    is_connected: Gauge,
    reconnects: Gauge,
    head: Gauge,
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("agentcafe_realtime");
        let http = HttpMetrics::register(&mut registry);
        let (is_connected, reconnects, head) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("source_connected", "1 while the source is connected", is_connected.clone());
        registry.register("source_reconnects", "How often it was connected again", reconnects.clone());
        registry.register("log_head", "The last event that was heard of", head.clone());
        Self { registry, http, is_connected, reconnects, head }
    }
}

impl Service {
    /// Starts to follow the source; everything ends when `stopping` is cancelled.
    pub fn start(
        settings: Settings,
        clock: Arc<dyn Clock>,
        ids: Box<dyn IdSource>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let metrics = Metrics::new();
        let (ids, now) = (Mutex::new(ids), Arc::clone(&clock));
        let door = Door {
            routes: routes::traits,
            token: settings.token.clone(),
            limiter: RateLimiter::new(0, None),
            trusted_proxies: Vec::new(),
            clock: Arc::clone(&clock),
            fresh_id: Box::new(move || ids.lock().fresh(now.now())),
            metrics: metrics.http.clone(),
        };
        let hub = Hub::new(&settings, stopping.child_token());
        let service = Arc::new(Self {
            standing: Standing::default(),
            places: Arc::new(Semaphore::new(settings.max_clients)),
            listeners: Arc::default(),
            clock,
            door: Arc::new(door),
            metrics,
            hub: RwLock::new(hub),
            stopping,
            settings,
        });
        tokio::spawn(feed::run(Arc::clone(&service)));
        service
    }

    /// The log that is heard of now.
    pub(crate) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub.read())
    }

    /// Begins anew with another log; who listens is sent away, and comes back to the new one.
    pub(crate) fn start_over(&self) {
        let fresh = Hub::new(&self.settings, self.stopping.child_token());
        let before = std::mem::replace(&mut *self.hub.write(), fresh);
        before.ended.cancel();
    }

    /// What those who listen to a log share.
    pub(crate) fn stream_hub(&self, hub: &Hub) -> StreamHub {
        StreamHub {
            fanout: Arc::clone(&hub.fanout),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.http.clone(),
            heartbeat: self.settings.heartbeat,
            stopping: hub.ended.clone(),
        }
    }

    /// How many clients listen.
    pub(crate) fn clients(&self) -> i64 {
        self.metrics.http.stream_clients.get()
    }

    /// The page that Prometheus reads.
    pub(crate) fn metrics_page(&self) -> String {
        let small = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.is_connected.set(self.standing.is_connected().into());
        self.metrics.reconnects.set(small(self.standing.reconnects()));
        self.metrics.head.set(small(self.hub().head().0));
        let mut page = String::new();
        encode(&mut page, &self.metrics.registry).expect("writing to memory does not fail");
        page
    }
}
