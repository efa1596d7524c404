//! The middleware around every route, as one list: a request passes it from the top down, its response from the bottom up.

use std::sync::Arc;

use agentcafe_domain::kernel::{Clock, Code, DomainError};
use axum::Router;
use axum::http::{Method, Uri};
use ipnet::IpNet;
use tower::ServiceBuilder;
use tower::layer::layer_fn;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use uuid::Uuid;

use crate::auth::{Authenticate, Authenticator, MAX_FAILURES_PER_MIN};
use crate::browser_policy::BrowserPolicy;
use crate::compression::CompressLarge;
use crate::cross_origin::CheckOrigin;
use crate::error::{self, ApiError};
use crate::metrics::HttpMetrics;
use crate::observe::Observe;
use crate::outgoing::LimitBytes;
use crate::rate_limit::{LimitRate, RateLimiter};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAccess {
    /// Everybody. Credentials are not looked at, so that nothing is waited for.
    Everybody,
    /// Everybody, and callers who may observe are shown more.
    Observers,
    /// Callers with a key or the token.
    Callers,
    /// Callers with a key, the token, or a ticket for a stream.
    Tickets,
}

/// How the middleware treats a route.
#[derive(Clone, Copy, Debug)]
pub struct RouteTraits {
    /// The path as the router has it, for metrics and the rate limit.
    pub template: &'static str,
    /// Whether its requests count against the rate limit.
    pub is_limited: bool,
    /// Who may call it.
    pub access: RouteAccess,
    /// Whether its requests stay open: a stream or a long poll, whose duration is not measured.
    pub stays_open: bool,
}

impl RouteTraits {
    /// The traits of a path that no route matches.
    pub(crate) const UNMATCHED: Self =
        Self { template: "unmatched", is_limited: true, access: RouteAccess::Callers, stays_open: false };
}

/// What the middleware of a server works with.
pub struct Middleware {
    /// Looks up a route by its template.
    pub routes: fn(&str) -> Option<RouteTraits>,
    /// Finds out who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// The query parameter that may hold a token.
    pub token_param: String,
    /// Which host names the server answers to, and which web pages may use it.
    pub browsers: BrowserPolicy,
    /// Counts the requests of each address, except those with API keys.
    pub limiter: RateLimiter,
    /// Counts the requests of each API key, except those that stay open.
    pub key_limiter: RateLimiter,
    /// The proxies whose `x-forwarded-for` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Measures how long requests take.
    pub clock: Arc<dyn Clock>,
    /// Makes the ids of requests that bring none.
    pub fresh_id: Box<dyn Fn() -> Uuid + Send + Sync>,
    /// Counts responses.
    pub metrics: HttpMetrics,
}

impl Middleware {
    /// Puts the middleware around every route of a router, and around the errors for requests that match no route.
    pub fn wrap<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        let shared = Arc::new(self);
        let failures = Arc::new(RateLimiter::new(MAX_FAILURES_PER_MIN, None));
        let [observing, checking, authenticating, limiting, sending] = [(); 5].map(|()| Arc::clone(&shared));
        router.fallback(unsupported_action).method_not_allowed_fallback(unsupported_action).layer(
            ServiceBuilder::new()
                .layer(layer_fn(CompressLarge::new))
                .layer(layer_fn(move |inner| Observe { inner, middleware: Arc::clone(&observing) }))
                .layer(ValidateRequestHeaderLayer::custom(CheckOrigin(checking)))
                .layer(layer_fn(move |inner| Authenticate {
                    inner,
                    middleware: Arc::clone(&authenticating),
                    failures: Arc::clone(&failures),
                }))
                .layer(layer_fn(move |inner| LimitRate { inner, middleware: Arc::clone(&limiting) }))
                .layer(layer_fn(move |inner| LimitBytes { inner, middleware: Arc::clone(&sending) }))
                .map_future(error::catch_panic),
        )
    }
}

/// The error for a path without a route. For a path without this method, axum adds the methods that there are (`Allow`).
async fn unsupported_action(method: Method, uri: Uri) -> ApiError {
    let path = uri.path();
    DomainError::new(Code::UnsupportedAction)
        .saying(format!("{method} {path} is not part of this API"))
        .with("method", method.as_str())
        .with("path", path)
        .into()
}
