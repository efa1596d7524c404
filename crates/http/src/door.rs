//! What is done once, around every route: request id, request limit, token, errors, headers, metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use agentcafe_domain::kernel::{Clock, Code, CorrelationId, DomainError, OperationError};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::answer;
use crate::auth::{self, Token};
use crate::error::ApiError;
use crate::metrics::{HttpMetrics, RequestLabels};
use crate::rate_limit::{RateLimitStatus, RateLimiter};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The longest `x-request-id` that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What the door must know of a route.
#[derive(Clone, Copy, Debug)]
pub struct RouteTraits {
    /// Its path as the routes name it.
    pub template: &'static str,
    /// Whether requests count against the limit.
    pub is_limited: bool,
    /// Whether it needs no token.
    pub is_public: bool,
    /// Whether it takes long on purpose.
    pub waits: bool,
}

impl RouteTraits {
    /// What no route matches.
    pub const UNMATCHED: Self =
        Self { template: "unmatched", is_limited: true, is_public: false, waits: false };

    fn is_unmatched(&self) -> bool {
        self.template == Self::UNMATCHED.template
    }
}

/// The door that every request comes in and every answer goes out through.
pub struct Door {
    /// What is known of the route that a request matches.
    pub routes: fn(Option<&str>) -> RouteTraits,
    /// The token that requests must carry.
    pub token: Token,
    /// Counts requests.
    pub limiter: RateLimiter,
    /// Whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where request ids come from.
    pub fresh_id: Box<dyn Fn() -> Uuid + Send + Sync>,
    /// Where requests are counted.
    pub metrics: HttpMetrics,
}

/// The id of a request, for its answer and its trace.
#[derive(Clone)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id that the door gave.
    pub fn of(extensions: &Extensions) -> String {
        extensions.get::<Self>().map_or_else(String::new, |id| id.0.to_string())
    }

    fn choose(door: &Door, headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::trim);
        let given = given.filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES);
        Self(given.map_or_else(|| (door.fresh_id)().to_string().into(), Into::into))
    }
}

/// Lets a request in, and its answer out.
pub async fn pass(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let began = door.clock.stopwatch();
    let request_id = RequestId::choose(&door, request.headers());
    let route = (door.routes)(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let method = method_name(request.method());
    let status = if route.is_limited { door.count(&request, method, route.template).await } else { None };
    let (path, sent_method) = (request.uri().path().to_owned(), request.method().clone());
    request.extensions_mut().insert(request_id.clone());
    let mut response = match door.admit(&request, route, status) {
        Err(error) => error.into_response(),
        Ok(()) if route.is_unmatched() => unsupported(sent_method.as_str(), &path).into_response(),
        Ok(()) => next.run(request).await,
    };
    if response.status() == axum::http::StatusCode::METHOD_NOT_ALLOWED {
        response = keeping_allow(&response, unsupported(sent_method.as_str(), &path));
    }
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = render(&error, response, &request_id);
    }
    add_headers(response.headers_mut(), &request_id, status);
    let labels = RequestLabels { method, route: route.template, status: response.status().as_u16() };
    door.metrics.requests.get_or_create(&labels).inc();
    if !route.waits {
        let took = door.clock.stopwatch() - began;
        door.metrics.request_seconds.observe(took.as_secs_f64());
    }
    response
}

/// The name of a method, for counting.
pub const fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

impl Door {
    /// The limit first, then the token.
    fn admit(
        &self,
        request: &Request,
        route: RouteTraits,
        status: Option<RateLimitStatus>,
    ) -> Result<(), ApiError> {
        if let Some(status) = status.filter(|status| !status.allowed) {
            let error = DomainError::new(Code::RateLimited)
                .with("limit", status.limit)
                .with("resetEpochSeconds", status.reset_epoch_seconds);
            let retry_after_seconds = Some(status.retry_after_seconds);
            return Err(ApiError(OperationError { retry_after_seconds, ..error.into() }));
        }
        if route.is_public {
            return Ok(());
        }
        auth::check(&self.token, request.headers(), request.uri())
    }

    fn count(
        &self,
        request: &Request,
        method: &'static str,
        route: &'static str,
    ) -> impl Future<Output = Option<RateLimitStatus>> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical());
        let client = self.client(peer, request.headers());
        self.limiter.count(client, method, route, self.clock.now())
    }

    /// Who asks: the peer; behind trusted proxies, the last address in `x-forwarded-for` that is not one of them.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: &IpAddr| self.trusted_proxies.iter().any(|net| net.contains(address));
        if !trusted(&peer) {
            return peer;
        }
        let hops = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
        let mut addresses = hops.flat_map(|hops| hops.rsplit(',')).map_while(|hop| hop.trim().parse().ok());
        addresses.find(|address| !trusted(address)).unwrap_or(peer)
    }
}

fn unsupported(method: &str, path: &str) -> ApiError {
    DomainError::new(Code::UnsupportedAction)
        .saying(format!("{method} {path} is not part of this API"))
        .with("method", method)
        .with("path", path)
        .into()
}

/// A wrong method is an unsupported action; which methods there are stays in `Allow`.
fn keeping_allow(refused: &Response, error: ApiError) -> Response {
    let allow = refused.headers().get(header::ALLOW).cloned();
    let mut response = error.into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

#[derive(Serialize)]
struct ErrorEnvelope<'a> {
    ok: bool,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    details: &'a Map<String, Value>,
    request_id: &'a str,
}

/// Renders the error envelope into a response that so far has only its status and headers.
fn render(error: &ApiError, bare: Response, request_id: &RequestId) -> Response {
    let DomainError { code, message, details } = &error.0.error;
    let mut details = details.clone();
    if let Some(correlation_id) = &error.0.correlation_id {
        details.insert("correlationId".to_owned(), correlation_id.as_str().into());
    }
    let body = ErrorBody { code: code.as_str(), message, details: &details, request_id: &request_id.0 };
    let body = serde_json::to_vec(&ErrorEnvelope { ok: false, error: body }).expect("details have text keys");
    let mut response = answer::json(error.status(), body);
    let headers = response.headers_mut();
    for (name, value) in bare.headers() {
        if name != header::CONTENT_LENGTH {
            headers.insert(name, value.clone());
        }
    }
    answer::insert_id(headers, answer::CORRELATION_ID, correlation_of(error).as_ref());
    response
}

fn correlation_of(error: &ApiError) -> Option<CorrelationId> {
    let in_details = || error.0.error.details.get("correlationId")?.as_str().map(str::to_owned);
    error.0.correlation_id.clone().or_else(|| CorrelationId::parse(&in_details()?).ok())
}

fn add_headers(headers: &mut HeaderMap, request_id: &RequestId, status: Option<RateLimitStatus>) {
    if let Ok(value) = HeaderValue::from_str(&request_id.0) {
        headers.insert(REQUEST_ID, value);
    }
    let Some(status) = status else { return };
    let RateLimitStatus { limit, remaining, reset_epoch_seconds, retry_after_seconds, .. } = status;
    headers.insert(LIMIT, limit.into());
    headers.insert(REMAINING, remaining.into());
    headers.insert(RESET, reset_epoch_seconds.into());
    let texts = [
        (RATE_LIMIT_POLICY, format!("\"default\";q={limit};w=60")),
        (RATE_LIMIT, format!("\"default\";r={remaining};t={retry_after_seconds}")),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}
