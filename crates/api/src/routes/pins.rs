//! `/v1/rooms/context/…`: the pinned context of a room, and its history.

use agentcafe_domain::{
    fields::Fields,
    ids::{ActorId, RoomId, TenantId},
    pin::{Pin, PinnedContext},
    record::{Find, OrderPlace},
    refusal::Refusal,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    input::{Asked, Sent},
    paging,
    problem::Problem,
    readgate,
};

const LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

pub(crate) async fn pin(sent: Sent) -> Result<Response, Problem> {
    let command = Pin::read(&sent.body)?;
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "room-context", "pin"];
    sent.execute((&actor).into(), &scope, command).await
}

/// Which room's pinned context is asked for.
pub(crate) struct PinAsked {
    tenant: TenantId,
    room: RoomId,
    viewer: Option<ActorId>,
}

impl PinAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            room: query.room("roomId")?.unwrap_or_else(RoomId::main),
            viewer: readgate::viewer(query)?,
        })
    }
}

/// What is pinned in a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PinFound {
    tenant_id: TenantId,
    room_id: RoomId,
    pinned_context: Option<PinnedContext>,
    is_pinned: bool,
}

pub(crate) async fn pinned(asked: Asked) -> Result<Response, Problem> {
    let PinAsked { tenant, room, viewer } = PinAsked::read(&asked.query)?;
    readgate::may_read(&asked.app.engine, &tenant, &room, viewer.as_ref()).await?;
    let active: Vec<PinnedContext> =
        asked.app.engine.store.find(PinnedContext::active(&tenant, &room)).await?;
    let pinned_context = active.into_iter().next();
    Ok(answer::found(&PinFound {
        tenant_id: tenant,
        room_id: room,
        is_pinned: pinned_context.is_some(),
        pinned_context,
    }))
}

/// What a history of pinned contexts is asked for.
pub(crate) struct HistoryAsked {
    room: PinAsked,
    cursor: Option<OrderPlace>,
    limit: usize,
}

impl HistoryAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            room: PinAsked::read(query)?,
            cursor: paging::cursor::<PinnedContext>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// What was pinned in a room, the newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryFound {
    tenant_id: TenantId,
    room_id: RoomId,
    history: Vec<PinnedContext>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn history(asked: Asked) -> Result<Response, Problem> {
    let HistoryAsked { room: PinAsked { tenant, room, viewer }, cursor, limit } =
        HistoryAsked::read(&asked.query)?;
    readgate::may_read(&asked.app.engine, &tenant, &room, viewer.as_ref()).await?;
    let find = Find::all::<PinnedContext>("version", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is("room_id", &room)
        .behind(cursor);
    let (history, next_cursor): (Vec<PinnedContext>, _) = paging::page(&asked.app.engine.store, find).await?;
    let count = history.len();
    Ok(answer::found(&HistoryFound { tenant_id: tenant, room_id: room, history, count, next_cursor }))
}
