//! What all routes share.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use agentcafe_domain::{rules::Rules, time::Timestamp};
use agentcafe_engine::{Engine, rate::RateLimiter};
use bytes::Bytes;
use ipnet::IpNet;
use tokio::sync::{Mutex, Semaphore};

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
    pub(crate) limiter: RateLimiter,
    pub(crate) streams: Arc<Semaphore>,
    /// The document that describes the API, once somebody has asked for it: making it takes more memory than serving does.
    pub(crate) openapi: OnceLock<Bytes>,
    /// Held by whoever probes the store for writing.
    pub(crate) probing: Mutex<()>,
    pub(crate) started_at: Timestamp,
}

impl App {
    /// The API on an engine.
    pub fn new(engine: Arc<Engine>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            limiter: RateLimiter::new(settings.rate_limit_per_min),
            streams: Arc::new(Semaphore::new(settings.stream_max_clients)),
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
