//! The request rate limit: a fixed window per API key or address, method and route; of one node, or shared by nodes through Redis.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use agentcafe_domain::kernel::{Code, DomainError, OperationError, Timestamp};
use agentcafe_redis::rate_limit::{self, RateLimitKey, RateLimitUsage};
use agentcafe_redis::{Keys, RedisConnection};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tower::Service;

use crate::client::Client;
use crate::error::ApiError;
use crate::metrics::method_name;
use crate::middleware::{Middleware, RouteTraits};
use crate::observe::RequestContext;

/// The length of a window, in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// The most windows in memory. When all of them are in use, all start over: the table refuses no new client, and a client that
/// fills it to get a new window sends more requests than it gains.
const MAX_WINDOWS: usize = 100_000;
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Which window a request counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WindowKey {
    client: Client,
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: Timestamp,
    used: u64,
}

#[derive(Default)]
struct Windows {
    open: HashMap<WindowKey, Window>,
    swept_at: Timestamp,
}

/// What the limiter decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RateLimitStatus {
    is_allowed: bool,
    /// Requests per window.
    limit: u64,
    /// Requests left in this window.
    remaining: u64,
    /// When the window ends, in whole seconds since the epoch, rounded up.
    reset_epoch_seconds: i64,
    /// Milliseconds until then; at least 1.
    retry_after_ms: i64,
}

/// Counts a request, and refuses it past the limit. The headers of every counted response hold what is left of the limit.
#[derive(Clone)]
pub(crate) struct LimitRate<S> {
    pub(crate) inner: S,
    pub(crate) middleware: Arc<Middleware>,
}

impl<S> Service<Request> for LimitRate<S>
where
    S: Service<Request, Response = Response, Future: Send + 'static> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get::<RequestContext>().map(|context| context.route);
        let middleware = Arc::clone(&self.middleware);
        let Some((route, client)) =
            route.and_then(|route| Some((route, middleware.limited_client(&request, route)?)))
        else {
            return self.inner.call(request).boxed();
        };
        // The service that is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        async move {
            let (method, now) = (method_name(request.method()), middleware.clock.now());
            let limiter = match &client {
                Client::Address(_) => &middleware.limiter,
                Client::Key(_) => &middleware.key_limiter,
            };
            let status = limiter.count(client, method, route.template, now).await;
            let mut response = match status.is_allowed {
                true => inner.call(request).await?,
                false => status.refusal().into_response(),
            };
            status.add_headers(response.headers_mut());
            Ok(response)
        }
        .boxed()
    }
}

impl Middleware {
    /// Whom a request counts for; none if it is not counted. What an API key keeps open is limited by how much is open at once.
    fn limited_client(&self, request: &Request, route: RouteTraits) -> Option<Client> {
        let client = self.client(request);
        let is_counted = match client {
            Client::Key(_) => !route.stays_open && self.key_limiter.limit > 0,
            Client::Address(_) => self.limiter.limit > 0,
        };
        (route.is_limited && is_counted).then_some(client)
    }
}

/// Whole seconds, rounded up.
const fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1_000) + (ms.rem_euclid(1_000) > 0) as i64
}

impl RateLimitStatus {
    fn refusal(&self) -> ApiError {
        let error = DomainError::new(Code::RateLimited)
            .with("limit", self.limit)
            .with("resetEpochSeconds", self.reset_epoch_seconds)
            .with("retryAfterMs", self.retry_after_ms);
        let retry_after_seconds = Some(seconds(self.retry_after_ms));
        ApiError(OperationError { retry_after_seconds, ..error.into() })
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let Self { limit, remaining, reset_epoch_seconds, retry_after_ms, .. } = *self;
        headers.insert(LIMIT, limit.into());
        headers.insert(REMAINING, remaining.into());
        headers.insert(RESET, reset_epoch_seconds.into());
        let texts = [
            (RATE_LIMIT_POLICY, format!("\"default\";q={limit};w=60")),
            (RATE_LIMIT, format!("\"default\";r={remaining};t={}", seconds(retry_after_ms))),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Counters in Redis that all nodes share.
pub struct SharedCounters {
    /// The connection.
    pub connection: Arc<RedisConnection>,
    /// The names of the keys.
    pub keys: Keys,
    /// Counts the requests that were checked against this node's own windows because Redis did not answer.
    pub fallbacks: Counter,
}

/// Counts requests. A limit of 0 counts nothing and allows everything.
pub struct RateLimiter {
    limit: u64,
    windows: Mutex<Windows>,
    shared: Option<SharedCounters>,
}

impl RateLimiter {
    /// Allows `limit` requests per client, method and route in a window: of all nodes together with `shared` counters, else
    /// of this node. While Redis does not answer, each node counts alone.
    pub fn new(limit: u64, shared: Option<SharedCounters>) -> Self {
        Self { limit, windows: Mutex::default(), shared }
    }

    /// Counts a request.
    async fn count(
        &self,
        client: Client,
        method: &'static str,
        route: &'static str,
        now: Timestamp,
    ) -> RateLimitStatus {
        // Also with shared counters: a client over its limit stays so when Redis stops answering.
        let local = self.count_locally(client.clone(), method, route, now);
        let Some(shared) = &self.shared else { return local };
        let client = client.to_string();
        let key = RateLimitKey { client: &client, method, route };
        let window = Duration::from_millis(WINDOW_MS.unsigned_abs());
        match rate_limit::count(&shared.connection, &shared.keys, key, window).await {
            Ok(RateLimitUsage { requests, ends_in }) => {
                let left_ms = i64::try_from(ends_in.as_millis()).unwrap_or(WINDOW_MS);
                self.status(requests, now.plus_ms(left_ms), now)
            }
            Err(_) => {
                shared.fallbacks.inc();
                local
            }
        }
    }

    fn count_locally(
        &self,
        client: Client,
        method: &'static str,
        route: &'static str,
        now: Timestamp,
    ) -> RateLimitStatus {
        let mut windows = self.windows.lock();
        let window = windows.window(WindowKey { client, method, route }, now);
        window.used += 1;
        let (used, ends_at) = (window.used, window.ends_at);
        self.status(used, ends_at, now)
    }

    /// Counts a request that failed, by its client only. Responds with its error, and past the limit with that of the limit.
    pub(crate) fn count_failure(&self, client: IpAddr, now: Timestamp, error: DomainError) -> Response {
        let status = self.count_locally(Client::Address(client), "", "", now);
        let error = if status.is_allowed { error.into() } else { status.refusal() };
        let mut response = error.into_response();
        status.add_headers(response.headers_mut());
        response
    }

    fn status(&self, used: u64, ends_at: Timestamp, now: Timestamp) -> RateLimitStatus {
        RateLimitStatus {
            is_allowed: used <= self.limit,
            limit: self.limit,
            remaining: self.limit.saturating_sub(used),
            reset_epoch_seconds: seconds(ends_at.as_millis()),
            retry_after_ms: (ends_at.as_millis() - now.as_millis()).max(1),
        }
    }
}

impl Windows {
    fn window(&mut self, key: WindowKey, now: Timestamp) -> &mut Window {
        if now.as_millis() - self.swept_at.as_millis() >= WINDOW_MS {
            self.open.retain(|_, window| window.ends_at > now);
            self.swept_at = now;
        }
        if self.open.len() >= MAX_WINDOWS && !self.open.contains_key(&key) {
            self.open.clear();
        }
        let fresh = Window { ends_at: now.plus_ms(WINDOW_MS), used: 0 };
        let window = self.open.entry(key).or_insert(fresh);
        if window.ends_at <= now {
            *window = fresh;
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOVA: Client = Client::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn rate_limit_windows_are_bounded_and_refuse_no_new_client() {
        let limiter = RateLimiter::new(1, None);
        for number in 0..2 * MAX_WINDOWS as u32 {
            let status =
                limiter.count_locally(Client::Address(Ipv4Addr::from(number).into()), "GET", "/a", at(0));
            assert!(status.is_allowed, "client {number}");
        }
        assert!(limiter.windows.lock().open.len() <= MAX_WINDOWS);
        limiter.count_locally(NOVA, "GET", "/a", at(WINDOW_MS + 1));
        assert_eq!(limiter.windows.lock().open.len(), 1);
    }
}
