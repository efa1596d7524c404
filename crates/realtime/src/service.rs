//! The service: its settings, and the state that its parts share.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_client::ApiClient;
use agentcafe_domain::kernel::{Clock, IdSource, TenantId};
use agentcafe_eventlog::{LogPosition, StreamHub};
use agentcafe_http::{
    Authenticator, BrowserPolicy, HttpMetrics, KnownNames, Middleware, RateLimiter, RouteTraits, Token,
};
use parking_lot::{Mutex, RwLock};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clients::Clients;
use crate::log_mirror::LogMirror;
use crate::replay_store::ReplayStore;
use crate::source::{self, SourceStatus};
use crate::stream_start::RoomStreamQuery;
use crate::subscribers::RoomSubscribers;

/// The settings of the service.
#[derive(Clone)]
pub struct RealtimeSettings {
    /// The API that is followed.
    pub source: ApiClient,
    /// The longest delay before reconnecting to the source.
    pub source_reconnect: Duration,
    /// A connection to the source without data for this long is lost.
    pub source_silence: Duration,
    /// The token that clients may share.
    pub token: Token,
    /// The most streams of one API key; 0: no limit.
    pub max_open_per_key: usize,
    /// Which host names the service answers to, and which web pages may use it.
    pub browsers: BrowserPolicy,
    /// The interval of heartbeats.
    pub heartbeat: Duration,
    /// The most events of a room in memory.
    pub room_history_limit: usize,
    /// The most rooms in memory.
    pub max_rooms: usize,
    /// The tenant of requests that name none.
    pub default_tenant: TenantId,
    /// The most clients.
    pub max_clients: usize,
    /// The rooms that a projector keeps in Redis, if there is one.
    pub replay_store: Option<ReplayStore>,
}

/// The service.
pub struct Service {
    pub(crate) settings: RealtimeSettings,
    pub(crate) source_status: SourceStatus,
    pub(crate) stopping: CancellationToken,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) subscribers: Arc<RoomSubscribers>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Who the clients are.
    pub(crate) clients: Arc<Clients>,
    /// The parameters of streams.
    pub(crate) known_names: KnownNames,
    /// Makes request ids.
    ids: Arc<Mutex<Box<dyn IdSource>>>,
    metrics: Metrics,
    mirror: RwLock<Arc<LogMirror>>,
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
        registry.register("log_head", "The last event that was received", head.clone());
        Self { registry, http, is_connected, reconnects, head }
    }
}

impl Service {
    /// Starts to follow the source; everything ends when `stopping` is cancelled.
    pub fn start(
        settings: RealtimeSettings,
        clock: Arc<dyn Clock>,
        ids: Box<dyn IdSource>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let metrics = Metrics::new();
        let mirror = LogMirror::new(&settings, stopping.child_token());
        let ids = Arc::new(Mutex::new(ids));
        let clients = Arc::new(Clients::new(
            settings.source.clone(),
            settings.token.clone(),
            settings.max_open_per_key,
            Arc::clone(&clock),
            Arc::clone(&ids),
        ));
        tokio::spawn(Arc::clone(&clients).watch_keys(stopping.clone()));
        let service = Arc::new(Self {
            clients,
            known_names: RoomStreamQuery::known_names(&settings),
            source_status: SourceStatus::default(),
            permits: Arc::new(Semaphore::new(settings.max_clients)),
            subscribers: Arc::default(),
            clock,
            ids,
            metrics,
            mirror: RwLock::new(mirror),
            stopping,
            settings,
        });
        tokio::spawn(source::run(Arc::clone(&service)));
        service
    }

    /// The middleware around the routes. There is no rate limit.
    pub(crate) fn middleware(self: &Arc<Self>, routes: fn(&str) -> Option<RouteTraits>) -> Middleware {
        let service = Arc::clone(self);
        Middleware {
            routes,
            authenticator: Arc::clone(&self.clients) as Arc<dyn Authenticator>,
            token_param: self.settings.token.query_param.clone(),
            browsers: self.settings.browsers.clone(),
            limiter: RateLimiter::new(0, None),
            key_limiter: RateLimiter::new(0, None),
            trusted_proxies: Vec::new(),
            clock: Arc::clone(&self.clock),
            fresh_id: Box::new(move || service.ids.lock().fresh(service.clock.now())),
            metrics: self.metrics.http.clone(),
        }
    }

    /// The mirror of the source's log.
    pub(crate) fn mirror(&self) -> Arc<LogMirror> {
        Arc::clone(&self.mirror.read())
    }

    /// Starts over with another log. The streams of the old one end with a reset.
    pub(crate) fn replace_mirror(&self, log: LogPosition) {
        let empty = LogMirror::new(&self.settings, self.stopping.child_token());
        let old = std::mem::replace(&mut *self.mirror.write(), empty);
        old.replace_by(log);
    }

    /// What all streams of a log share.
    pub(crate) fn stream_hub(&self, mirror: &LogMirror) -> StreamHub {
        StreamHub {
            fanout: Arc::clone(&mirror.fanout),
            clock: Arc::clone(&self.clock),
            heartbeat: self.settings.heartbeat,
            stopping: mirror.ended.clone(),
        }
    }

    /// Counts requests and streams.
    pub(crate) fn http_metrics(&self) -> &HttpMetrics {
        &self.metrics.http
    }

    /// The number of open streams.
    pub(crate) fn open_streams(&self) -> i64 {
        self.metrics.http.stream_clients.get()
    }

    /// The page that Prometheus reads.
    pub(crate) fn metrics_page(&self) -> String {
        let small = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.is_connected.set(self.source_status.is_connected().into());
        self.metrics.reconnects.set(small(self.source_status.reconnects()));
        self.metrics.head.set(small(self.mirror().head().0));
        let mut page = String::new();
        encode(&mut page, &self.metrics.registry).expect("writing to memory does not fail");
        page
    }
}
