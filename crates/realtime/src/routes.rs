//! The routes of the service, and what they answer.

use std::sync::Arc;

use agentcafe_domain::kernel::{ids::Sequence, time::Timestamp};
use agentcafe_eventlog::Follower;
use agentcafe_http::{
    ApiError, RequestId, RouteTraits, StreamProtocol, answer, door, query, sse, websocket::Upgrade,
};
use axum::{
    Router,
    extract::State,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    introduction::{StreamQuery, introduce},
    room_stream::RoomStream,
    service::Service,
};

const HEALTH: &str = "/healthz";
const LIVE: &str = "/livez";
const READY: &str = "/readyz";
const METRICS: &str = "/metrics";
const STREAM: &str = "/v1/stream";
const SOCKET: &str = "/v1/ws";

/// The routes, with everything that is done around all of them.
pub fn router(service: Arc<Service>) -> Router {
    let door = Arc::clone(&service.door);
    Router::new()
        .route(HEALTH, get(health))
        .route(LIVE, get(live))
        .route(READY, get(ready))
        .route(METRICS, get(metrics))
        .route(STREAM, get(stream))
        .route(SOCKET, get(socket))
        .layer(middleware::from_fn_with_state(door, door::pass))
        .with_state(service)
}

/// What the door must know of a route.
pub(crate) fn traits(matched: Option<&str>) -> RouteTraits {
    let all = [HEALTH, LIVE, READY, METRICS, STREAM, SOCKET];
    let found = matched.and_then(|path| all.into_iter().find(|template| *template == path));
    found.map_or(RouteTraits::UNMATCHED, |template| RouteTraits {
        template,
        is_limited: false,
        is_public: [HEALTH, LIVE, READY].contains(&template),
        waits: [STREAM, SOCKET].contains(&template),
    })
}

/// `GET /v1/stream`.
async fn stream(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    Ok(sse::response(listen(&service, &uri, &headers, &extensions, StreamProtocol::EventStream).await?))
}

/// `GET /v1/ws`: the same over a WebSocket.
async fn socket(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    upgrade.admit(&service.settings.token)?;
    let listening = listen(&service, &uri, &headers, &extensions, StreamProtocol::WebSocket).await?;
    Ok(upgrade.response(listening, service.settings.heartbeat))
}

async fn listen(
    service: &Arc<Service>,
    uri: &Uri,
    headers: &HeaderMap,
    extensions: &Extensions,
    protocol: StreamProtocol,
) -> Result<RoomStream, ApiError> {
    let asked = StreamQuery::read(&query::fields(uri)?, &service.settings.default_tenant)?;
    let place = asked.place(sse::last_event_id(headers)?);
    let seat = Arc::clone(&service.places).try_acquire_owned().map_err(|_| {
        let limit = service.settings.max_clients;
        ApiError::unavailable(&format!("all {limit} places are taken (REALTIME_MAX_CLIENTS)"))
    })?;
    let hub = service.hub();
    let introduction = introduce(service, &hub, &asked, place, protocol).await?;
    let follower = Follower::new(Arc::clone(&hub), asked.filter(), introduction.after);
    let session = service.stream_hub(&hub).open(follower, protocol, seat);
    let in_room = service.listeners.enter(asked.room);
    Ok(RoomStream::new(session, introduction, in_room, RequestId::of(extensions)))
}

/// The health document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    ok: bool,
    service: &'static str,
    time: Timestamp,
    /// Whether clients are told less than there is: the source is not connected, or still read.
    degraded: bool,
    rooms: usize,
    clients: i64,
    replay_store: ReplayStore,
    source: Source,
}

#[derive(Serialize)]
struct ReplayStore {
    enabled: bool,
    reason: Option<String>,
}

impl ReplayStore {
    fn of(service: &Service) -> Self {
        let Some(archive) = &service.settings.archive else {
            return Self { enabled: false, reason: Some("REDIS_URL is not set".to_owned()) };
        };
        let status = archive.status();
        let reason = || status.last_error.unwrap_or_else(|| "Redis is not connected".to_owned());
        Self { enabled: status.connected, reason: (!status.connected).then(reason) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    connected: bool,
    reconnects: u64,
    last_cursor: Sequence,
    last_event_at: Option<Timestamp>,
    last_error: Option<String>,
}

/// What keeps clients from being told everything.
fn troubles(service: &Service) -> Vec<String> {
    let mut troubles = Vec::new();
    if !service.standing.is_connected() {
        let why = service.standing.last_error().unwrap_or_else(|| "not yet".to_owned());
        troubles.push(format!("the source is not connected: {why}"));
    }
    if !*service.hub().watch_catching_up().borrow() {
        troubles.push("the log is not known yet".to_owned());
    }
    troubles
}

/// `GET /healthz`.
async fn health(State(service): State<Arc<Service>>) -> Response {
    let (standing, hub) = (&service.standing, service.hub());
    let health = Health {
        ok: true,
        service: "agentcafe-realtime",
        time: service.clock.now(),
        degraded: !troubles(&service).is_empty(),
        rooms: service.listeners.rooms(),
        clients: service.clients(),
        replay_store: ReplayStore::of(&service),
        source: Source {
            connected: standing.is_connected(),
            reconnects: standing.reconnects(),
            last_cursor: hub.head(),
            last_event_at: hub.newest_at(),
            last_error: standing.last_error(),
        },
    };
    answer::json(StatusCode::OK, json!(health).to_string())
}

/// `GET /livez`: the process is up.
async fn live() -> Response {
    answer::enveloped(StatusCode::OK, br#"{"live":true}"#)
}

/// `GET /readyz`: the source is connected, and its log is known.
async fn ready(State(service): State<Arc<Service>>) -> Result<Response, ApiError> {
    let mut reasons = troubles(&service);
    if service.stopping.is_cancelled() {
        reasons.insert(0, "the service is stopping".to_owned());
    }
    if reasons.is_empty() {
        return Ok(answer::enveloped(StatusCode::OK, br#"{"ready":true}"#));
    }
    let mut error = ApiError::unavailable("not ready");
    error.0.error.details.insert("reasons".to_owned(), json!(reasons));
    Err(error)
}

/// `GET /metrics`: the page that Prometheus reads.
async fn metrics(State(service): State<Arc<Service>>) -> Response {
    const TYPE: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let mut response = service.metrics_page().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
    response
}
