//! Pins the context of a room, and reads what is and was pinned.

use agentcafe_domain::kernel::{ActorId, OperationError, RecordQuery, RoomId, TenantId};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::rooms::pin::{PinContext, PinContextResponse, PinnedContext};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, KeyScope, Operation, ids, mutation, parameters};
use crate::paging::{Page, PageSelector, newest_by};
use crate::read_access;

const LIMITS: (usize, usize) = (50, 500);

mutation!(PinContext, PinContextResponse, Scope::Operate, |input, _| Self::read(&input.body), |pin| {
    let [tenant, room, _] = ids(pin.actor());
    KeyScope::post(pin.actor(), [tenant, room, "room-context", "pin"])
});

parameters! {
    /// Reads what is pinned in a room.
    ReadPinned(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: RoomId = fields.room_or_main()?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
    }
}

/// What is pinned in a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedInRoom {
    tenant_id: TenantId,
    room_id: RoomId,
    /// The pinned context of the room; null if nothing is pinned.
    pinned_context: Option<PinnedContext>,
    /// Whether anything is pinned.
    is_pinned: bool,
}

impl Operation for ReadPinned {
    type Output = PinnedInRoom;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<PinnedInRoom, OperationError> {
        let Self { tenant: tenant_id, room: room_id, viewer } = self;
        call.service.may_read(&tenant_id, &room_id, viewer.as_ref()).await?;
        let active: Vec<PinnedContext> =
            call.service.find(PinnedContext::active(&tenant_id, &room_id)).await?;
        let pinned_context = active.into_iter().next();
        Ok(PinnedInRoom { tenant_id, room_id, is_pinned: pinned_context.is_some(), pinned_context })
    }
}

parameters! {
    /// Lists what was pinned in a room.
    ListPinned(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: RoomId = fields.room_or_main()?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        query: RecordQuery = newest_by::<PinnedContext>("version").is("tenant_id", &tenant).is("room_id", &room),
        page: PageSelector = PageSelector::read::<PinnedContext>(fields, LIMITS)?,
    }
}

/// What was pinned in a room, the newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinHistory {
    tenant_id: TenantId,
    room_id: RoomId,
    /// The versions of the pinned context, newest first.
    history: Vec<PinnedContext>,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor of the next page; null if this is the last one.
    next_cursor: Option<String>,
}

impl Operation for ListPinned {
    type Output = PinHistory;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<PinHistory, OperationError> {
        let Self { tenant: tenant_id, room: room_id, viewer, query, page } = self;
        call.service.may_read(&tenant_id, &room_id, viewer.as_ref()).await?;
        let Page { records: history, next_cursor } = call.service.page(page.of(query)).await?;
        Ok(PinHistory { tenant_id, room_id, count: history.len(), history, next_cursor })
    }
}
