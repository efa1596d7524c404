//! The routes of the service.

use std::sync::Arc;

use agentcafe_domain::kernel::{Fields, OperationError, Sequence, Timestamp};
use agentcafe_domain::keys::{Principal, Scope};
use agentcafe_eventlog::{LastEventId, LogStream};
use agentcafe_http::websocket::Upgrade;
use agentcafe_http::{
    ApiError, Handling, RouteAccess, RouteTraits, StreamProtocol, answer, may_observe, observe, query,
    request_id, sse, stream as event_stream,
};
use agentcafe_redis::RedisUse;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use serde_json::{Map, json};

use crate::service::Service;
use crate::stream_start::{RoomStreamQuery, stream_start};

const HEALTH: &str = "/healthz";
const LIVE: &str = "/livez";
const READY: &str = "/readyz";
const METRICS: &str = "/metrics";
const STREAM: &str = "/v1/stream";
const SOCKET: &str = "/v1/ws";

/// The routes, with the middleware around them.
pub fn router(service: Arc<Service>) -> Router {
    let routes = Router::new()
        .route(HEALTH, get(health))
        .route(LIVE, get(live))
        .route(READY, get(ready))
        .route(METRICS, get(metrics))
        .route(STREAM, get(stream))
        .route(SOCKET, get(socket));
    service.middleware(traits).wrap(routes).with_state(service)
}

/// How the middleware treats a route.
fn traits(path: &str) -> Option<RouteTraits> {
    let template = [HEALTH, LIVE, READY, METRICS, STREAM, SOCKET].into_iter().find(|known| *known == path)?;
    Some(RouteTraits {
        template,
        is_limited: false,
        access: match template {
            LIVE => RouteAccess::Everybody,
            HEALTH | READY => RouteAccess::Observers,
            STREAM | SOCKET => RouteAccess::Tickets,
            _ => RouteAccess::Callers,
        },
        stays_open: [STREAM, SOCKET].contains(&template),
    })
}

/// `GET /v1/stream`.
async fn stream(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let parameters = query::fields(&uri)?;
    let handling = handling(&service, &headers, &parameters);
    let protocol = StreamProtocol::EventStream;
    let frames = open_stream(&service, parameters, &handling, &headers, &extensions, protocol).await;
    Ok(handling.note(frames.map(sse::response).into_response()))
}

/// `GET /v1/ws`: the same over a WebSocket.
async fn socket(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let parameters = query::fields(&uri)?;
    let handling = handling(&service, &headers, &parameters);
    let protocol = StreamProtocol::WebSocket;
    let frames = open_stream(&service, parameters, &handling, &headers, &extensions, protocol).await;
    let response = frames.map(|frames| upgrade.response(frames, service.settings.heartbeat));
    Ok(handling.note(response.into_response()))
}

/// How a request for a stream is handled.
fn handling<'s>(service: &'s Service, headers: &HeaderMap, parameters: &Fields) -> Handling<'s> {
    service.known_names.handling(headers, parameters, &Fields::of_body(Map::new()))
}

async fn open_stream(
    service: &Arc<Service>,
    parameters: Fields,
    handling: &Handling<'_>,
    headers: &HeaderMap,
    extensions: &Extensions,
    protocol: StreamProtocol,
) -> Result<impl Stream<Item = Bytes> + use<>, ApiError> {
    let principal = extensions.get::<Principal>().cloned().ok_or_else(OperationError::internal)?;
    principal.check(&[Scope::Follow]).or_else(|_| principal.check(&[Scope::Listen]))?;
    handling.check()?;
    let fields = parameters.bound_to(principal.binding().cloned());
    let query = RoomStreamQuery::read(&fields, &service.settings.default_tenant, protocol)?;
    observe::record_ids(|| query.ids());
    let last_event_id = sse::last_event_id(headers);
    let reader = query.reader(last_event_id);
    let key = service.clients.open_keys.take(&principal)?;
    let permit = Arc::clone(&service.permits).try_acquire_owned().map_err(|_| {
        let limit = service.settings.max_clients;
        ApiError::unavailable(&format!("all {limit} streams are taken (REALTIME_MAX_CLIENTS)"))
    })?;
    let mirror = service.mirror();
    let (tenant, room) = &query.room;
    let ready = json!({
        "tenantId": tenant, "roomId": room, "requestId": request_id(extensions),
        "lastEventIdIgnored": last_event_id == LastEventId::Foreign,
    });
    let (start, is_checked) = stream_start(service, &mirror, &query, &reader, ready).await?;
    let unchecked = (!is_checked).then_some(reader);
    let (hub, filter) = (service.stream_hub(&mirror), query.filter());
    let subscriber = service.subscribers.subscribe(query.room, Arc::clone(&mirror), unchecked, key, permit);
    let stream = LogStream::open(hub, mirror, filter, start, subscriber);
    Ok(event_stream::frames(stream, protocol, service.http_metrics().clone()))
}

/// The health document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RealtimeHealth {
    ok: bool,
    service: &'static str,
    time: Timestamp,
    /// Whether events are missing: the source is not connected, or its log was not received completely.
    degraded: bool,
    rooms: usize,
    clients: i64,
    replay_store: ReplayStoreHealth,
    source: SourceHealth,
}

#[derive(Serialize)]
struct ReplayStoreHealth {
    enabled: bool,
    reason: Option<String>,
}

impl ReplayStoreHealth {
    fn new(service: &Service) -> Self {
        let Some(replay_store) = &service.settings.replay_store else {
            return Self { enabled: false, reason: Some("REDIS_URL is not set".to_owned()) };
        };
        let reason = replay_store.status().unavailable(&[RedisUse::Replays]);
        Self { enabled: reason.is_none(), reason }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceHealth {
    connected: bool,
    reconnects: u64,
    last_cursor: Sequence,
    last_event_at: Option<Timestamp>,
    last_error: Option<String>,
}

/// Why events may be missing.
fn degradations(service: &Service) -> Vec<String> {
    let mut reasons = Vec::new();
    if !service.source_status.is_connected() {
        let why = service.source_status.last_error().unwrap_or_else(|| "not yet".to_owned());
        reasons.push(format!("the source is not connected: {why}"));
    }
    if !*service.mirror().watch_caught_up().borrow() {
        reasons.push("the log was not received completely yet".to_owned());
    }
    reasons
}

/// `GET /healthz`: for strangers only that the process is up.
async fn health(State(service): State<Arc<Service>>, extensions: Extensions) -> Response {
    if !may_observe(&extensions) {
        return answer::json(StatusCode::OK, json!({ "ok": true }).to_string());
    }
    let (source_status, mirror) = (&service.source_status, service.mirror());
    let health = RealtimeHealth {
        ok: true,
        service: "agentcafe-realtime",
        time: service.clock.now(),
        degraded: !degradations(&service).is_empty(),
        rooms: service.subscribers.rooms(),
        clients: service.open_streams(),
        replay_store: ReplayStoreHealth::new(&service),
        source: SourceHealth {
            connected: source_status.is_connected(),
            reconnects: source_status.reconnects(),
            last_cursor: mirror.head(),
            last_event_at: mirror.newest_at(),
            last_error: source_status.last_error(),
        },
    };
    answer::json(StatusCode::OK, json!(health).to_string())
}

/// `GET /livez`: the process is up.
async fn live() -> Response {
    answer::flag("live")
}

/// `GET /readyz`: the source is connected, and its log was received.
async fn ready(State(service): State<Arc<Service>>, extensions: Extensions) -> Result<Response, ApiError> {
    let mut reasons = degradations(&service);
    if service.stopping.is_cancelled() {
        reasons.insert(0, "the service is stopping".to_owned());
    }
    if reasons.is_empty() {
        return Ok(answer::flag("ready"));
    }
    let mut error = ApiError::unavailable("not ready");
    if may_observe(&extensions) {
        error.0.error.details.insert("reasons".to_owned(), json!(reasons));
    }
    Err(error)
}

/// `GET /metrics`.
async fn metrics(
    State(service): State<Arc<Service>>,
    Extension(client): Extension<Principal>,
) -> Result<Response, ApiError> {
    client.check(&[Scope::Observe])?;
    Ok(answer::metrics(service.metrics_page()))
}
