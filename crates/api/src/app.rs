//! What all routes share.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use agentcafe_domain::kernel::{rules::Rules, time::Timestamp};
use agentcafe_engine::Engine;
use agentcafe_http::{Door, HttpMetrics, RateLimiter, SharedCounters, StreamHub, Token};
use bytes::Bytes;
use ipnet::IpNet;
use tokio::sync::{Mutex, Semaphore};

use crate::router;

/// The settings of the HTTP API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token that requests must carry; none: everybody may.
    pub auth_token: Option<String>,
    /// The query parameter that may carry the token.
    pub auth_query_param: String,
    /// Requests per minute, client and route; 0: no limit.
    pub rate_limit_per_min: u64,
    /// Whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How often a stream shows that it is alive.
    pub stream_heartbeat: Duration,
    /// The most open streams.
    pub stream_max_clients: usize,
    /// How often presences are looked through, for the health document.
    pub presence_sweep: Duration,
    /// How often table sessions are looked through, for the health document.
    pub table_session_sweep: Duration,
}

/// What all routes share.
pub struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: Settings,
    pub(crate) door: Arc<Door>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) stream_hub: StreamHub,
    /// The document that describes the API, once somebody has asked for it: making it takes more memory than serving does.
    pub(crate) openapi: OnceLock<Bytes>,
    /// Held by whoever probes the store for writing.
    pub(crate) probing: Mutex<()>,
    pub(crate) started_at: Timestamp,
}

impl App {
    /// The API on an engine.
    pub fn new(engine: Arc<Engine>, settings: Settings, metrics: &HttpMetrics) -> Arc<Self> {
        Arc::new(Self {
            door: Arc::new(door(&engine, &settings, metrics)),
            streams: Arc::new(Semaphore::new(settings.stream_max_clients)),
            stream_hub: stream_hub(&engine, &settings, metrics),
            openapi: OnceLock::new(),
            started_at: engine.now(),
            probing: Mutex::new(()),
            engine,
            settings,
        })
    }

    /// The settings of the rules.
    pub(crate) fn rules(&self) -> &Rules {
        &self.engine.rules
    }
}

fn stream_hub(engine: &Engine, settings: &Settings, metrics: &HttpMetrics) -> StreamHub {
    StreamHub {
        fanout: Arc::clone(&engine.fanout),
        clock: Arc::clone(&engine.clock),
        metrics: metrics.clone(),
        heartbeat: settings.stream_heartbeat,
        stopping: engine.stopping.clone(),
    }
}

fn door(engine: &Arc<Engine>, settings: &Settings, metrics: &HttpMetrics) -> Door {
    let ids = Arc::clone(engine);
    let shared = engine.redis.as_ref().map(|redis| SharedCounters {
        connection: Arc::clone(&redis.connection),
        keys: redis.keys.clone(),
        fallbacks: redis.metrics.own_limits.clone(),
    });
    Door {
        routes: router::traits,
        token: Token { wanted: settings.auth_token.clone(), query_param: settings.auth_query_param.clone() },
        limiter: RateLimiter::new(settings.rate_limit_per_min, shared),
        trusted_proxies: settings.trusted_proxies.clone(),
        clock: Arc::clone(&engine.clock),
        fresh_id: Box::new(move || ids.fresh_id()),
        metrics: metrics.clone(),
    }
}
