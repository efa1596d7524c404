//! `GET /v1/presence`, `/v1/presence/last-seen` and `POST /v1/presence/heartbeat`.

use std::collections::HashMap;

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        event::{Event, EventType},
        fields::Fields,
        ids::{ActorId, RoomId, Sequence, TenantId},
        record::{RecordQuery, SortKey},
        time::Timestamp,
    },
    presence::{Heartbeat, Presence, Status},
};
use agentcafe_store::{EventFilter, EventQuery, LoggedEvent};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    error::ApiError,
    input::{ReadRequest, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;
const LAST_SEEN_LIMIT: usize = 100;
const MAX_SCANNED: i64 = 5_000;

pub(crate) async fn heartbeat(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Heartbeat::read(&request.body, request.rules())?;
    let actor = command.actor().clone();
    let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
    let scope = [ids[0], ids[1], ids[2], "presence", "heartbeat"];
    request.execute((&actor).into(), &scope, command).await
}

/// What a list of presences is asked for.
pub(crate) struct PresenceQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    viewer: Option<ActorId>,
    active: Option<bool>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl PresenceQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            actor: query.actor("actorId")?,
            viewer: read_access::viewer(query)?,
            active: query.flag("active")?,
            cursor: paging::cursor::<Presence>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// One presence.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PresenceResponse {
    presence: Option<Presence>,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PresencesResponse {
    presence: Vec<Presence>,
    count: usize,
    next_cursor: Option<String>,
}

/// One presence, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum PresenceAnswer {
    One(PresenceResponse),
    Many(PresencesResponse),
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let PresenceQuery { tenant, room, actor, viewer, active, cursor, limit } =
        PresenceQuery::read(&request.query)?;
    read_access::may_list(&request.app.engine, &tenant, room.as_ref(), viewer.as_ref()).await?;
    let store = &request.app.engine.store;
    if let (Some(room), Some(actor)) = (&room, &actor) {
        let presence = store.get(vec![(&tenant).into(), room.into(), actor.into()]).await?;
        return Ok(answer::found(&PresenceResponse { presence }));
    }
    let find = RecordQuery::all::<Presence>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is_if_given("room_id", room.as_ref())
        .is_if_given("actor_id", actor.as_ref())
        .is_if_given("is_active", active)
        .behind(cursor);
    let (presence, next_cursor): (Vec<Presence>, _) = paging::page(store, find).await?;
    Ok(answer::found(&PresencesResponse { count: presence.len(), presence, next_cursor }))
}

/// Those who are active in a room, the newest first.
pub(crate) fn active_in(tenant: &TenantId, room: &RoomId, limit: usize) -> RecordQuery {
    RecordQuery::all::<Presence>("updated_at", limit)
        .newest_first()
        .is("tenant_id", tenant)
        .is("room_id", room)
        .is("is_active", true)
}

/// What last-seen is asked for.
pub(crate) struct LastSeenQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    viewer: Option<ActorId>,
    include_system: bool,
    limit: usize,
    scan_limit: usize,
}

impl LastSeenQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let tenant = query.tenant("tenantId")?.unwrap_or_else(TenantId::default);
        let limit = query.limit(LAST_SEEN_LIMIT, MAX_LIMIT)?;
        let scan = query.integer("scanLimit", 1..=MAX_SCANNED)?;
        let scan = scan.map_or(limit * 20, |scan| usize::try_from(scan).unwrap_or(limit));
        Ok(Self {
            tenant,
            room: query.room("roomId")?,
            actor: query.actor("actorId")?,
            viewer: read_access::viewer(query)?,
            include_system: query.flag("includeSystemActors")?.unwrap_or(false),
            limit,
            scan_limit: scan.min(MAX_SCANNED.unsigned_abs() as usize).max(limit),
        })
    }

    fn query(&self) -> EventQuery {
        let filter = EventFilter {
            tenant: Some(self.tenant.clone()),
            room: self.room.clone(),
            actor: self.actor.clone(),
            ..EventFilter::default()
        };
        EventQuery::newest(filter, self.scan_limit)
    }
}

/// When an actor was last seen doing something.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastSeen {
    actor_id: ActorId,
    last_seen: Timestamp,
    last_event_id: Uuid,
    last_event_type: EventType,
    last_sequence: Sequence,
    status: Option<Status>,
    is_active: Option<bool>,
    last_heartbeat_at: Option<Timestamp>,
}

/// One actor.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastSeenResponse {
    actor_id: ActorId,
    last_seen: Option<LastSeen>,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastSeenListed {
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    actors: Vec<LastSeen>,
    count: usize,
    scan_limit_reached: bool,
}

/// One actor, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum LastSeenAnswer {
    One(LastSeenResponse),
    Many(LastSeenListed),
}

pub(crate) async fn last_seen(request: ReadRequest) -> Result<Response, ApiError> {
    let last_seen = LastSeenQuery::read(&request.query)?;
    let (tenant, room) = (&last_seen.tenant, last_seen.room.as_ref());
    read_access::may_list(&request.app.engine, tenant, room, last_seen.viewer.as_ref()).await?;
    let store = &request.app.engine.store;
    let page = store.events(last_seen.query()).await?;
    let scanned = page.events.len();
    let (include_system, limit) = (last_seen.include_system, last_seen.limit);
    // Thousands of events are parsed: not on a thread that answers others.
    let newest = tokio::task::spawn_blocking(move || newest_by_actor(&page.events, include_system, limit));
    let mut actors = newest.await.map_err(|_| ApiError::internal())?;
    if let Some(room) = &last_seen.room {
        let present = RecordQuery::all::<Presence>("updated_at", MAX_LIMIT)
            .newest_first()
            .is("tenant_id", &last_seen.tenant)
            .is("room_id", room)
            .is_if_given("actor_id", last_seen.actor.as_ref());
        join(&mut actors, store.find(present).await?);
    }
    if let Some(actor_id) = last_seen.actor {
        return Ok(answer::found(&LastSeenResponse { actor_id, last_seen: actors.pop() }));
    }
    Ok(answer::found(&LastSeenListed {
        tenant_id: last_seen.tenant,
        room_id: last_seen.room,
        count: actors.len(),
        actors,
        scan_limit_reached: scanned >= last_seen.scan_limit,
    }))
}

/// The newest event of each actor. What the system or an operator did to an actor does not show that it was there.
fn newest_by_actor(events: &[LoggedEvent], include_system: bool, limit: usize) -> Vec<LastSeen> {
    let mut actors: Vec<LastSeen> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for event in events.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok()) {
        if actors.len() == limit {
            break;
        }
        let source = event.payload.get("source").and_then(serde_json::Value::as_str);
        let done_to_it = matches!(source, Some("system" | "operator"));
        let hidden = event.actor_id.as_str() == "system" && !include_system;
        if done_to_it || hidden || !known.insert(event.actor_id.clone()) {
            continue;
        }
        actors.push(LastSeen {
            actor_id: event.actor_id,
            last_seen: event.timestamp,
            last_event_id: event.event_id,
            last_event_type: event.kind,
            last_sequence: event.sequence,
            status: None,
            is_active: None,
            last_heartbeat_at: None,
        });
    }
    actors
}

fn join(actors: &mut [LastSeen], present: Vec<Presence>) {
    let by_actor: HashMap<_, _> =
        present.into_iter().map(|presence| (presence.actor_id.clone(), presence)).collect();
    for actor in actors {
        if let Some(presence) = by_actor.get(&actor.actor_id) {
            actor.status = Some(presence.status);
            actor.is_active = Some(presence.is_active);
            actor.last_heartbeat_at = Some(presence.last_heartbeat_at);
        }
    }
}
