//! What is done once, around every route: request id, request limit, token, errors, headers, metrics.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use agentcafe_domain::{
    ids::CorrelationId,
    refusal::{Code, Refusal},
};
use agentcafe_engine::{metrics::RequestLabels, rate::Standing};
use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{answer, app::App, auth, problem::Problem, router};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The longest `x-request-id` that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The id of a request, for its answer and its trace.
#[derive(Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The id that the front door gave.
    pub(crate) fn of(extensions: &Extensions) -> String {
        extensions.get::<Self>().map_or_else(String::new, |id| id.0.to_string())
    }

    fn choose(app: &App, headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::trim);
        let given = given.filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES);
        Self(given.map_or_else(|| app.engine.fresh_id().to_string().into(), Into::into))
    }
}

/// The door that every request comes in and every answer goes out through.
pub(crate) async fn door(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = app.engine.clock.stopwatch();
    let request_id = RequestId::choose(&app, request.headers());
    let route = router::known_path(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let method = method_name(request.method());
    let standing = if router::is_unlimited(route) { None } else { count(&app, &request, method, route) };
    let (path, no_route) = (request.uri().path().to_owned(), route == router::UNMATCHED);
    let sent_method = request.method().clone();
    request.extensions_mut().insert(request_id.clone());
    let mut response = match admit(&app, &request, route, standing) {
        Err(problem) => problem.into_response(),
        Ok(()) if no_route => unsupported(sent_method.as_str(), &path).into_response(),
        Ok(()) => next.run(request).await,
    };
    if response.status() == axum::http::StatusCode::METHOD_NOT_ALLOWED {
        response = keeping_allow(&response, unsupported(sent_method.as_str(), &path));
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = render(&problem, response, &request_id);
    }
    add_headers(response.headers_mut(), &request_id, standing);
    let labels = RequestLabels { method, route, status: response.status().as_u16() };
    app.engine.metrics.requests.get_or_create(&labels).inc();
    if !router::waits(route) {
        let took = app.engine.clock.stopwatch() - began;
        app.engine.metrics.request_seconds.observe(took.as_secs_f64());
    }
    response
}

pub(crate) const fn method_name(method: &Method) -> &'static str {
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

/// The limit first, then the token.
fn admit(app: &App, request: &Request, route: &str, standing: Option<Standing>) -> Result<(), Problem> {
    if let Some(standing) = standing.filter(|standing| !standing.allowed) {
        let refusal = Refusal::new(Code::RateLimited)
            .with("limit", standing.limit)
            .with("resetEpochSeconds", standing.reset_epoch_seconds);
        let retry_after_seconds = Some(standing.retry_after_seconds);
        return Err(Problem { retry_after_seconds, ..refusal.into() });
    }
    if router::is_public(route) {
        return Ok(());
    }
    auth::check(&app.settings, request.headers(), request.uri())
}

fn count(app: &App, request: &Request, method: &'static str, route: &'static str) -> Option<Standing> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let client = client(app, peer, request.headers());
    app.limiter.count(client, method, route, app.engine.now())
}

/// Who asks: the peer; behind trusted proxies, the last address in `x-forwarded-for` that is not one of them.
fn client(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |address: &IpAddr| app.settings.trusted_proxies.iter().any(|net| net.contains(address));
    if !trusted(&peer) {
        return peer;
    }
    let hops = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
    let mut addresses = hops.flat_map(|hops| hops.rsplit(',')).map_while(|hop| hop.trim().parse().ok());
    addresses.find(|address| !trusted(address)).unwrap_or(peer)
}

fn unsupported(method: &str, path: &str) -> Problem {
    Refusal::new(Code::UnsupportedAction)
        .saying(format!("{method} {path} is not part of this API"))
        .with("method", method)
        .with("path", path)
        .into()
}

/// A wrong method is an unsupported action; which methods there are stays in `Allow`.
fn keeping_allow(refused: &Response, problem: Problem) -> Response {
    let allow = refused.headers().get(header::ALLOW).cloned();
    let mut response = problem.into_response();
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
fn render(problem: &Problem, bare: Response, request_id: &RequestId) -> Response {
    let Refusal { code, message, details } = &problem.refusal;
    let mut details = details.clone();
    if let Some(correlation_id) = &problem.correlation_id {
        details.insert("correlationId".to_owned(), correlation_id.as_str().into());
    }
    let error = ErrorBody { code: code.as_str(), message, details: &details, request_id: &request_id.0 };
    let body = serde_json::to_vec(&ErrorEnvelope { ok: false, error }).expect("details have text keys");
    let mut response = answer::json(problem.status(), body);
    let headers = response.headers_mut();
    for (name, value) in bare.headers() {
        if name != header::CONTENT_LENGTH {
            headers.insert(name, value.clone());
        }
    }
    answer::insert_id(headers, answer::CORRELATION_ID, correlation_of(problem).as_ref());
    response
}

fn correlation_of(problem: &Problem) -> Option<CorrelationId> {
    let in_details = || problem.refusal.details.get("correlationId")?.as_str().map(str::to_owned);
    problem.correlation_id.clone().or_else(|| CorrelationId::parse(&in_details()?).ok())
}

fn add_headers(headers: &mut HeaderMap, request_id: &RequestId, standing: Option<Standing>) {
    if let Ok(value) = HeaderValue::from_str(&request_id.0) {
        headers.insert(REQUEST_ID, value);
    }
    let Some(standing) = standing else { return };
    let Standing { limit, remaining, reset_epoch_seconds, retry_after_seconds, .. } = standing;
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
