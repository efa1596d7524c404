//! `/v1/rooms`: rooms that have a record.

use agentcafe_domain::{
    fields::Fields,
    ids::{ActorId, RoomId, TenantId},
    record::{Find, OrderPlace},
    refusal::{Code, Refusal},
    room::{Room, RoomType, UpsertRoom},
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    app::App,
    input::{Asked, PathId, Sent},
    paging,
    problem::Problem,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// What a list of rooms is asked for.
pub(crate) struct RoomsAsked {
    tenant: TenantId,
    room: Option<RoomId>,
    room_type: Option<RoomType>,
    owner: Option<ActorId>,
    cursor: Option<OrderPlace>,
    limit: usize,
}

impl RoomsAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
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
pub(crate) struct RoomFound {
    room: Room,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomsFound {
    rooms: Vec<Room>,
    count: usize,
    next_cursor: Option<String>,
}

/// One room, or many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum RoomAnswer {
    One(RoomFound),
    Many(RoomsFound),
}

pub(crate) async fn list(asked: Asked) -> Result<Response, Problem> {
    let RoomsAsked { tenant, room, room_type, owner, cursor, limit } = RoomsAsked::read(&asked.query)?;
    if let Some(room) = room {
        return one(&asked.app, &tenant, room.as_str()).await;
    }
    let find = Find::all::<Room>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is_if_given("room_type", room_type.map(RoomType::as_str))
        .is_if_given("owner_actor_id", owner.as_ref())
        .behind(cursor);
    let (rooms, next_cursor): (Vec<Room>, _) = paging::page(&asked.app.engine.store, find).await?;
    Ok(answer::found(&RoomsFound { count: rooms.len(), rooms, next_cursor }))
}

/// What a room is asked for by its id: the tenant.
pub(crate) fn read_tenant(query: &Fields) -> Result<TenantId, Refusal> {
    Ok(query.tenant("tenantId")?.unwrap_or_else(TenantId::standard))
}

pub(crate) async fn by_id(PathId(id): PathId, asked: Asked) -> Result<Response, Problem> {
    one(&asked.app, &read_tenant(&asked.query)?, &id).await
}

/// A room by its id, as a client wrote it: one that is no id names no room.
async fn one(app: &App, tenant: &TenantId, room: &str) -> Result<Response, Problem> {
    let found: Option<Room> = match RoomId::parse(room) {
        Ok(id) => app.engine.store.get(vec![tenant.into(), (&id).into()]).await?,
        Err(_) => None,
    };
    let room = found
        .ok_or_else(|| Refusal::new(Code::NotFound).with("tenantId", tenant.as_str()).with("roomId", room))?;
    Ok(answer::found(&RoomFound { room }))
}

pub(crate) async fn upsert(sent: Sent) -> Result<Response, Problem> {
    let command = UpsertRoom::read(&sent.body)?;
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), "rooms", actor.room_id.as_str(), "upsert"];
    sent.execute((&actor).into(), &scope, command).await
}
