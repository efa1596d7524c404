//! `/v1/rooms`: rooms that have a record.

use agentcafe_domain::{
    kernel::{
        error::{Code, DomainError},
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{RecordQuery, SortKey},
    },
    rooms::{Room, RoomType, upsert::UpsertRoom},
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    app::App,
    error::ApiError,
    input::{PathId, ReadRequest, WriteRequest},
    paging,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// What a list of rooms is asked for.
pub(crate) struct RoomsQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    room_type: Option<RoomType>,
    owner: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl RoomsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            room_type: query.choice("roomType", &RoomType::NAMES)?,
            owner: query.actor("ownerActorId")?,
            cursor: paging::cursor::<Room>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// One room.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RoomResponse {
    room: Room,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomsResponse {
    rooms: Vec<Room>,
    count: usize,
    next_cursor: Option<String>,
}

/// One room, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum RoomAnswer {
    One(RoomResponse),
    Many(RoomsResponse),
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let RoomsQuery { tenant, room, room_type, owner, cursor, limit } = RoomsQuery::read(&request.query)?;
    if let Some(room) = room {
        return one(&request.app, &tenant, room.as_str()).await;
    }
    let find = RecordQuery::all::<Room>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is_if_given("room_type", room_type.map(RoomType::as_str))
        .is_if_given("owner_actor_id", owner.as_ref())
        .behind(cursor);
    let (rooms, next_cursor): (Vec<Room>, _) = paging::page(&request.app.engine.store, find).await?;
    Ok(answer::found(&RoomsResponse { count: rooms.len(), rooms, next_cursor }))
}

/// What a room is asked for by its id: the tenant.
pub(crate) fn read_tenant(query: &Fields) -> Result<TenantId, DomainError> {
    Ok(query.tenant("tenantId")?.unwrap_or_else(TenantId::default))
}

pub(crate) async fn by_id(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    one(&request.app, &read_tenant(&request.query)?, &id).await
}

/// A room by its id, as a client wrote it: one that is no id names no room.
async fn one(app: &App, tenant: &TenantId, room: &str) -> Result<Response, ApiError> {
    let found: Option<Room> = match RoomId::parse(room) {
        Ok(id) => app.engine.store.get(vec![tenant.into(), (&id).into()]).await?,
        Err(_) => None,
    };
    let room = found.ok_or_else(|| {
        DomainError::new(Code::NotFound).with("tenantId", tenant.as_str()).with("roomId", room)
    })?;
    Ok(answer::found(&RoomResponse { room }))
}

pub(crate) async fn upsert(request: WriteRequest) -> Result<Response, ApiError> {
    let command = UpsertRoom::read(&request.body)?;
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), "rooms", actor.room_id.as_str(), "upsert"];
    request.execute((&actor).into(), &scope, command).await
}
