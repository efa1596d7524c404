//! The routes of the service, and what they answer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use agentcafe_domain::{
    event::EventType,
    fields::{Cursor, Fields},
    ids::{ActorId, RoomId, Sequence, TenantId},
    refusal::Refusal,
    time::Timestamp,
};
use agentcafe_engine::Follower;
use agentcafe_http::{Problem, RequestId, RouteTraits, Wire, answer, door, query, sse, websocket::Upgrade};
use agentcafe_store::EventFilter;
use axum::{
    Router,
    extract::State,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    hub::Hub,
    listening::{Introduction, Listening},
    room::Beginning,
    rooms::RoomKey,
    service::Service,
};

/// How many events of a room are replayed to a client that does not say where it was.
const REPLAY: usize = 300;
/// The most that a client can ask for.
const MAX_REPLAY: usize = 1_000;
/// How long a client waits while the service takes in the log after its start.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(5);

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

/// What a client asks for.
struct Asked {
    room: RoomKey,
    actor: Option<ActorId>,
    types: Vec<String>,
    cursor: Option<Cursor>,
    limit: Option<usize>,
}

impl Asked {
    fn read(query: &Fields, default_tenant: &TenantId) -> Result<Self, Refusal> {
        let limit = query.limit(REPLAY, MAX_REPLAY)?;
        let tenant = query.tenant("tenantId")?.unwrap_or_else(|| default_tenant.clone());
        Ok(Self {
            room: (tenant, query.room("roomId")?.unwrap_or_else(RoomId::main)),
            actor: query.actor("actorId")?,
            types: query.names("types"),
            cursor: query.cursor("cursor")?,
            limit: query.text("limit")?.is_some().then_some(limit),
        })
    }

    fn filter(&self) -> EventFilter {
        let types: Vec<EventType> = self.types.iter().filter_map(|name| EventType::parse(name)).collect();
        EventFilter {
            tenant: Some(self.room.0.clone()),
            room: Some(self.room.1.clone()),
            actor: self.actor.clone(),
            mentioned: None,
            types: (!self.types.is_empty()).then_some(types),
        }
    }

    /// Where the client was; none if it comes for the first time.
    fn place(&self, last_event_id: Option<Sequence>) -> Option<Sequence> {
        let cursor = match self.cursor {
            Some(Cursor::After(cursor)) => Some(cursor),
            Some(Cursor::Latest) | None => None,
        };
        cursor.max(last_event_id).filter(|place| *place > Sequence::START)
    }
}

/// `GET /v1/stream`.
async fn stream(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, Problem> {
    Ok(sse::response(listen(&service, &uri, &headers, &extensions, Wire::EventStream).await?))
}

/// `GET /v1/ws`: the same over a WebSocket.
async fn socket(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
    extensions: Extensions,
) -> Result<Response, Problem> {
    upgrade.admit(&service.settings.token)?;
    let listening = listen(&service, &uri, &headers, &extensions, Wire::WebSocket).await?;
    Ok(upgrade.response(listening, service.settings.heartbeat))
}

async fn listen(
    service: &Arc<Service>,
    uri: &Uri,
    headers: &HeaderMap,
    extensions: &Extensions,
    wire: Wire,
) -> Result<Listening, Problem> {
    let asked = Asked::read(&query::fields(uri)?, &service.settings.default_tenant)?;
    let place = asked.place(sse::last_event_id(headers)?);
    let seat = Arc::clone(&service.places).try_acquire_owned().map_err(|_| {
        let limit = service.settings.max_clients;
        Problem::unavailable(&format!("all {limit} places are taken (REALTIME_MAX_CLIENTS)"))
    })?;
    let hub = service.hub();
    let introduction = introduce(service, &hub, &asked, place, wire, RequestId::of(extensions)).await?;
    let after = introduction.beginning.after;
    let follower = Follower::new(Arc::clone(&hub), asked.filter(), after);
    let telling = service.teller(&hub).begin(follower, wire, seat);
    Ok(Listening::new(telling, introduction, service.listeners.enter(asked.room)))
}

/// Finds out what a client is told first. One that was here before is told what comes behind its place, also while the
/// log is not known yet; others have to wait until it is.
async fn introduce(
    service: &Service,
    hub: &Arc<Hub>,
    asked: &Asked,
    place: Option<Sequence>,
    wire: Wire,
    request_id: String,
) -> Result<Introduction, Problem> {
    let mut catching_up = hub.watch_catching_up();
    let is_caught_up = timeout(CATCH_UP_PATIENCE, catching_up.wait_for(|caught_up| *caught_up)).await.is_ok();
    if !is_caught_up && place.is_none() {
        return Err(Problem::unavailable(
            "the log is not known yet: the source is not connected, or still read",
        ));
    }
    let state = if is_caught_up { Some(hub.state(&asked.room).await?) } else { None };
    let until = state.as_ref().map_or_else(|| hub.head(), |(_, at)| *at);
    let beginning = match (asked.cursor, place, asked.limit) {
        (Some(Cursor::Latest), None, _) => Beginning { after: until, leaves_out: false },
        // Whoever says where it was and not how much it wants is told everything.
        (_, Some(place), None) => Beginning { after: place, leaves_out: false },
        (_, place, limit) => {
            let after = place.unwrap_or(Sequence::START);
            hub.newest(&asked.filter(), after, limit.unwrap_or(REPLAY)).await
        }
    };
    let snapshot = json!({
        "tenantId": asked.room.0, "roomId": asked.room.1, "actorId": asked.actor, "types": asked.types,
        "lastCursor": until, "sourceConnected": service.standing.is_connected(),
    });
    let state = state.map_or(Bytes::from_static(b"null"), |(state, _)| state);
    let cursor = place.unwrap_or(Sequence::START);
    let snapshot = in_pieces(wire, &snapshot.to_string(), state);
    Ok(Introduction { snapshot, cursor, beginning, until, request_id })
}

/// The `snapshot` frame: its data with the room's state as a last member, which all who ask for it share.
fn in_pieces(wire: Wire, data: &str, state: Bytes) -> VecDeque<Bytes> {
    let before = format!(r#"{},"state":"#, data.trim_end_matches('}'));
    let [head, foot] = wire.around("snapshot", before.as_bytes(), state.len(), b"}");
    VecDeque::from([head, state, foot])
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
async fn ready(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let mut reasons = troubles(&service);
    if service.stopping.is_cancelled() {
        reasons.insert(0, "the service is stopping".to_owned());
    }
    if reasons.is_empty() {
        return Ok(answer::enveloped(StatusCode::OK, br#"{"ready":true}"#));
    }
    let mut problem = Problem::unavailable("not ready");
    problem.refusal.details.insert("reasons".to_owned(), json!(reasons));
    Err(problem)
}

/// `GET /metrics`: the page that Prometheus reads.
async fn metrics(State(service): State<Arc<Service>>) -> Response {
    const TYPE: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let mut response = service.metrics_page().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
    response
}
