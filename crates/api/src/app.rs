//! What all routes share.

use std::sync::{Arc, OnceLock};

use agentcafe_engine::Engine;
use agentcafe_http::{Door, HttpMetrics, RateLimiter, SharedCounters, Token};
use agentcafe_service::{Service, ServiceSettings};
use bytes::Bytes;
use ipnet::IpNet;

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
    /// The proxies whose `x-forwarded-for` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The settings of the service behind the API.
    pub service: ServiceSettings,
}

/// What all routes share.
pub struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) settings: Settings,
    pub(crate) door: Arc<Door>,
    /// Counts the streams and their events.
    pub(crate) metrics: HttpMetrics,
    /// The OpenAPI document, made at the first request for it: making it takes more memory than serving does.
    pub(crate) openapi: OnceLock<Bytes>,
}

impl App {
    /// The API on an engine. `metrics` counts its requests and streams.
    pub fn new(engine: Arc<Engine>, settings: Settings, metrics: &HttpMetrics) -> Arc<Self> {
        Arc::new(Self {
            door: Arc::new(door(&engine, &settings, metrics)),
            metrics: metrics.clone(),
            openapi: OnceLock::new(),
            service: Arc::new(Service::new(engine, settings.service.clone())),
            settings,
        })
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
