//! The pinned context of a room, version by version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::RoomContextPinned;
use crate::kernel::{
    ActionSource, ActorId, ActorInRoom, Command, CommandContext, CommandError, DomainError, Field, Fields,
    GuardedAction, Key, METADATA, Query, RecordQuery, Reply, RoomId, Sequence, Success, TenantId, Timestamp,
    record, response,
};
use crate::permissions::{self, Capability};
use crate::tables::access::{self, AccessRequirement};

const MAX_CONTENT_CHARS: usize = 16 * 1_024;
const CONTENT: Field =
    Field::new("content", "The text to pin.", "Be kind, and keep the counter free.").up_to(MAX_CONTENT_CHARS);
/// Its label in policies.
const ACTION: &str = "room_context_pin";

/// A version of a room's pinned context. One of them is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedContext {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// 1 for the first, then increasing by 1.
    pub version: u64,
    /// What is pinned.
    pub content: String,
    /// Whatever is added.
    pub metadata: Map<String, Value>,
    /// The actor that pinned it.
    pub pinned_by: ActorId,
    /// Whether it is the one that counts.
    pub is_active: bool,
    /// When it was pinned.
    pub created_at: Timestamp,
    /// When it was pinned, or replaced.
    pub updated_at: Timestamp,
}

impl PinnedContext {
    /// The key of a version.
    fn key_of(tenant: &TenantId, room: &RoomId, version: u64) -> Key {
        vec![tenant.into(), room.into(), (&version).into()]
    }

    /// The active version of a room.
    pub fn active(tenant: &TenantId, room: &RoomId) -> RecordQuery {
        RecordQuery::all::<Self>("version", 1)
            .newest_first()
            .is("tenant_id", tenant)
            .is("room_id", room)
            .is("is_active", true)
    }
}

record!(PinnedContext in "pinned_contexts": [tenant_id, room_id, version] is_active);

/// The current version of a room's pinned context, so that pinning reads only that one, however long the history is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PinHead {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The newest version.
    pub version: u64,
}

record!(PinHead in "pin_heads": [tenant_id, room_id]);

/// `POST /v1/rooms/context/pin`: pins a context for all actors of the room.
pub struct PinContext {
    actor: ActorInRoom,
    content: String,
    metadata: Map<String, Value>,
}

response! {
    /// The answer to a [`PinContext`].
    PinContextResponse {
        /// The pinned context of the room; null if nothing is pinned.
        pinned_context: PinnedContext,
        /// The id of the main event.
        event_id: Uuid,
        /// The sequence of the main event.
        sequence: Sequence,
    }
}

impl PinContext {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let actor = ActorInRoom::read(fields)?;
        let content = fields.required_text(CONTENT)?;
        let metadata = fields.object(METADATA)?.unwrap_or_default();
        Ok(Self { actor, content, metadata })
    }

    /// The actor that pins, and the room.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// The active version.
    fn active(&self, ctx: &CommandContext<'_>) -> Result<Option<PinnedContext>, CommandError> {
        let Some(head) = ctx.get::<PinHead>(self.actor.room_key())? else { return Ok(None) };
        ctx.get(PinnedContext::key_of(&head.tenant_id, &head.room_id, head.version))
    }
}

impl Command for PinContext {
    fn reads(&self) -> Vec<Query> {
        let before = [access::read(&self.actor), Query::one::<PinHead>(self.actor.room_key())];
        permissions::reads(&self.actor).into_iter().chain(before).collect()
    }

    fn guarded_actor(&self) -> Option<ActorInRoom> {
        Some(self.actor.clone())
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        access::check(ctx, &self.actor, AccessRequirement::new(ACTION))?;
        permissions::require(ctx, &self.actor, Capability::Moderate, ACTION)?;
        permissions::not_overridden(ctx, &self.actor, ACTION)?;
        ctx.guard
            .check(&self.actor, &GuardedAction { label: ACTION, text: None, source: ActionSource::Api })?;
        let previous = self.active(ctx)?;
        let version = previous.as_ref().map_or(1, |previous| previous.version + 1);
        if let Some(replaced) = previous {
            ctx.put(&PinnedContext { is_active: false, updated_at: ctx.now, ..replaced });
        }
        let ActorInRoom { tenant_id, room_id, actor_id } = self.actor.clone();
        let event = RoomContextPinned {
            version,
            content: self.content.clone(),
            metadata: self.metadata.clone(),
            pinned_by: actor_id.clone(),
        };
        let pinned_context = PinnedContext {
            tenant_id,
            room_id,
            version,
            content: event.content.clone(),
            metadata: event.metadata.clone(),
            pinned_by: actor_id,
            is_active: true,
            created_at: ctx.now,
            updated_at: ctx.now,
        };
        ctx.put(&pinned_context);
        let PinnedContext { tenant_id, room_id, .. } = pinned_context.clone();
        ctx.put(&PinHead { tenant_id, room_id, version });
        let event = ctx.append(&self.actor, &event, None)?;
        Ok(PinContextResponse::reply(ctx, Success::Created, pinned_context, event.event_id, event.sequence))
    }
}
