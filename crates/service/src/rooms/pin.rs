//! Pins the context of a room, and reads what is and was pinned.

use agentcafe_domain::kernel::{
    ActorId, DomainError, OperationError, RecordQuery, RoomId, Rules, SortKey, TenantId,
};
use agentcafe_domain::rooms::pin::{PinContext, PinContextResponse, PinnedContext};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, KeyScope, Mutation, Operation, Prepared};
use crate::{paging, read_access};

const LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

impl Mutation for PinContext {
    type Command = Self;
    type Answer = PinContextResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let actor = self.actor().clone();
        let scope = KeyScope::post([actor.tenant_id.as_str(), actor.room_id.as_str(), "room-context", "pin"]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }
}

/// Reads what is pinned in a room.
pub struct ReadPinned {
    tenant: TenantId,
    room: RoomId,
    viewer: Option<ActorId>,
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

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room_or_main()?,
            viewer: read_access::viewer(fields)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<PinnedInRoom, OperationError> {
        let Self { tenant: tenant_id, room: room_id, viewer } = self;
        call.service.may_read(&tenant_id, &room_id, viewer.as_ref()).await?;
        let active: Vec<PinnedContext> =
            call.service.find(PinnedContext::active(&tenant_id, &room_id)).await?;
        let pinned_context = active.into_iter().next();
        Ok(PinnedInRoom { tenant_id, room_id, is_pinned: pinned_context.is_some(), pinned_context })
    }
}

/// Lists what was pinned in a room.
pub struct ListPinned {
    room: ReadPinned,
    cursor: Option<SortKey>,
    limit: usize,
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

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            room: ReadPinned::read(input, rules)?,
            cursor: paging::cursor::<PinnedContext>(&input.parameters)?,
            limit: input.parameters.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<PinHistory, OperationError> {
        let Self { room: ReadPinned { tenant: tenant_id, room: room_id, viewer }, cursor, limit } = self;
        call.service.may_read(&tenant_id, &room_id, viewer.as_ref()).await?;
        let query = RecordQuery::all::<PinnedContext>("version", limit)
            .newest_first()
            .is("tenant_id", &tenant_id)
            .is("room_id", &room_id)
            .behind(cursor);
        let (history, next_cursor) = call.service.page::<PinnedContext>(query).await?;
        Ok(PinHistory { tenant_id, room_id, count: history.len(), history, next_cursor })
    }
}
