//! What all routes share: the service, the settings and the middleware.

use std::sync::{Arc, OnceLock};

use agentcafe_engine::Engine;
use agentcafe_http::{
    Authenticator, BrowserPolicy, CallerFuture, Credentials, HttpMetrics, Middleware, RateLimiter,
    RouteTraits, SharedCounters, Token,
};
use agentcafe_service::{Service, ServiceSettings};
use bytes::Bytes;
use futures_util::FutureExt;
use ipnet::IpNet;

/// The settings of the HTTP API.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// The token that requests must carry.
    pub token: Token,
    /// Which host names the API answers to, and which web pages may use it.
    pub browsers: BrowserPolicy,
    /// Requests per minute, address and route, without API keys; 0: no limit.
    pub rate_limit_per_min: u64,
    /// Requests per minute, API key and route; 0: no limit.
    pub key_rate_limit_per_min: u64,
    /// The proxies whose `x-forwarded-for` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The settings of the service behind the API.
    pub service: ServiceSettings,
}

/// What all routes share.
pub struct App {
    /// The operations.
    pub service: Arc<Service>,
    pub(crate) settings: ApiSettings,
    /// Counts requests, streams and their events.
    pub(crate) metrics: HttpMetrics,
    /// The OpenAPI document, made at the first request for it: making it takes more memory than serving does.
    pub(crate) openapi: OnceLock<Bytes>,
    /// The AsyncAPI document, likewise.
    pub(crate) asyncapi: OnceLock<Bytes>,
}

impl App {
    /// The API on an engine. `metrics` counts its requests and streams.
    pub fn new(engine: Arc<Engine>, settings: ApiSettings, metrics: &HttpMetrics) -> Arc<Self> {
        let service = Arc::new(Service::new(engine, settings.service.clone()));
        tokio::spawn(Arc::clone(&service).note_key_uses());
        let (openapi, asyncapi) = Default::default();
        Arc::new(Self { service, settings, metrics: metrics.clone(), openapi, asyncapi })
    }

    /// The middleware, which finds the traits of routes with a function.
    pub(crate) fn middleware(&self, routes: fn(&str) -> Option<RouteTraits>) -> Middleware {
        let engine = Arc::clone(self.service.engine());
        let shared = || {
            engine.redis.as_ref().map(|redis| SharedCounters {
                connection: Arc::clone(&redis.connection),
                keys: redis.keys.clone(),
                fallbacks: redis.metrics.own_limits.clone(),
            })
        };
        Middleware {
            routes,
            authenticator: Arc::new(KeyAuthenticator(Arc::clone(&self.service))),
            token_param: self.settings.token.query_param.clone(),
            browsers: self.settings.browsers.clone(),
            limiter: RateLimiter::new(self.settings.rate_limit_per_min, shared()),
            key_limiter: RateLimiter::new(self.settings.key_rate_limit_per_min, shared()),
            trusted_proxies: self.settings.trusted_proxies.clone(),
            clock: Arc::clone(&engine.clock),
            fresh_id: Box::new(move || engine.fresh_id()),
            metrics: self.metrics.clone(),
        }
    }
}

/// Authenticates with the API keys of the store, and the shared token.
struct KeyAuthenticator(Arc<Service>);

impl Authenticator for KeyAuthenticator {
    fn authenticate(self: Arc<Self>, credentials: Credentials) -> CallerFuture {
        async move {
            match credentials {
                Credentials::Missing => self.0.authenticate(None).await,
                Credentials::Token(token) => self.0.authenticate(Some(&token)).await,
                Credentials::Ticket(ticket, opens) => self.0.authenticate_ticket(&ticket, opens).await,
            }
        }
        .boxed()
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }
}
