//! `/v1/rooms/context/…`: the pinned context of a room, and its history.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{RecordQuery, SortKey},
    },
    rooms::pin::{PinContext, PinnedContext},
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    error::ApiError,
    input::{ReadRequest, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

pub(crate) async fn pin(request: WriteRequest) -> Result<Response, ApiError> {
    let command = PinContext::read(&request.body)?;
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "room-context", "pin"];
    request.execute((&actor).into(), &scope, command).await
}

/// Which room's pinned context is asked for.
pub(crate) struct PinQuery {
    tenant: TenantId,
    room: RoomId,
    viewer: Option<ActorId>,
}

impl PinQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?.unwrap_or_else(RoomId::main),
            viewer: read_access::viewer(query)?,
        })
    }
}

/// What is pinned in a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PinResponse {
    tenant_id: TenantId,
    room_id: RoomId,
    pinned_context: Option<PinnedContext>,
    is_pinned: bool,
}

pub(crate) async fn pinned(request: ReadRequest) -> Result<Response, ApiError> {
    let PinQuery { tenant, room, viewer } = PinQuery::read(&request.query)?;
    read_access::may_read(&request.app.engine, &tenant, &room, viewer.as_ref()).await?;
    let active: Vec<PinnedContext> =
        request.app.engine.store.find(PinnedContext::active(&tenant, &room)).await?;
    let pinned_context = active.into_iter().next();
    Ok(answer::found(&PinResponse {
        tenant_id: tenant,
        room_id: room,
        is_pinned: pinned_context.is_some(),
        pinned_context,
    }))
}

/// What a history of pinned contexts is asked for.
pub(crate) struct HistoryQuery {
    room: PinQuery,
    cursor: Option<SortKey>,
    limit: usize,
}

impl HistoryQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            room: PinQuery::read(query)?,
            cursor: paging::cursor::<PinnedContext>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// What was pinned in a room, the newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryResponse {
    tenant_id: TenantId,
    room_id: RoomId,
    history: Vec<PinnedContext>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn history(request: ReadRequest) -> Result<Response, ApiError> {
    let HistoryQuery { room: PinQuery { tenant, room, viewer }, cursor, limit } =
        HistoryQuery::read(&request.query)?;
    read_access::may_read(&request.app.engine, &tenant, &room, viewer.as_ref()).await?;
    let find = RecordQuery::all::<PinnedContext>("version", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is("room_id", &room)
        .behind(cursor);
    let (history, next_cursor): (Vec<PinnedContext>, _) =
        paging::page(&request.app.engine.store, find).await?;
    let count = history.len();
    Ok(answer::found(&HistoryResponse { tenant_id: tenant, room_id: room, history, count, next_cursor }))
}
