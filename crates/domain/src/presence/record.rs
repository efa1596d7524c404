//! An actor's presence in a room, as it is stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{ActorId, ActorInRoom, RoomId, TenantId, Timestamp, record, wire_enum};

/// The shortest and longest time that a heartbeat holds, in milliseconds.
pub const TTL_MS: std::ops::RangeInclusive<i64> = 1_000..=600_000;

wire_enum! {
    /// What an actor is doing.
    #[derive(JsonSchema)]
    #[schemars(rename = "PresenceStatus")]
    pub enum Status {
        /// Thinking.
        Thinking = "thinking",
        /// There, not doing anything.
        Idle = "idle",
        /// Doing something.
        Busy = "busy",
        /// Not there.
        Inactive = "inactive",
    }
}

/// An actor's presence in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor.
    pub actor_id: ActorId,
    /// What it is doing.
    pub status: Status,
    /// When it last showed that it is there.
    pub last_heartbeat_at: Timestamp,
    /// How long that holds, in milliseconds.
    pub ttl_ms: i64,
    /// When it runs out.
    pub expires_at: Timestamp,
    /// Whether it counts as there.
    pub is_active: bool,
    /// When its presence in this room was first recorded.
    pub created_at: Timestamp,
    /// When this was last changed.
    pub updated_at: Timestamp,
}

record!(Presence in "presence" as presence: [tenant_id, room_id, actor_id]
    active_until = presence.is_active.then_some(presence.expires_at), is_active, updated_at);

impl Presence {
    /// The presence after a heartbeat. One with status `inactive` is a goodbye: the actor no longer counts as there.
    pub(super) fn after_heartbeat(
        previous: Option<&Self>,
        actor: &ActorInRoom,
        status: Status,
        ttl_ms: i64,
        now: Timestamp,
    ) -> Self {
        let ttl_ms = ttl_ms.max(*TTL_MS.start());
        Self {
            tenant_id: actor.tenant_id.clone(),
            room_id: actor.room_id.clone(),
            actor_id: actor.actor_id.clone(),
            status,
            last_heartbeat_at: now,
            ttl_ms,
            expires_at: now.plus_ms(ttl_ms),
            is_active: status != Status::Inactive,
            created_at: previous.map_or(now, |previous| previous.created_at),
            updated_at: now,
        }
    }

    /// The presence once the actor is no longer there.
    pub(super) fn expired(&self, now: Timestamp) -> Self {
        Self { status: Status::Inactive, is_active: false, updated_at: now, ..self.clone() }
    }
}
