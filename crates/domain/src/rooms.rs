//! Rooms that have a record. A room without one is a lobby that every actor may use.

pub(crate) mod claim;
pub mod pin;
pub mod theme;
pub mod upsert;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{ActorId, RoomId, TenantId, Timestamp, payloads, record, wire_enum};

wire_enum! {
    /// What kind of room it is.
    #[derive(JsonSchema)]
    pub enum RoomType {
        /// Open to all.
        Lobby = "lobby",
        /// Open to those at a paid table.
        PrivateTable = "private_table",
    }
}

/// A room's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// What kind it is.
    pub room_type: RoomType,
    /// What people call it.
    pub display_name: Option<String>,
    /// The owner.
    pub owner_actor_id: Option<ActorId>,
    /// Whatever its owner adds.
    pub metadata: Map<String, Value>,
    /// When it got its record; none if it has none.
    pub created_at: Option<Timestamp>,
    /// When the record was last changed; none if it has none.
    pub updated_at: Option<Timestamp>,
}

impl Room {
    /// A room without a record.
    pub fn without_record(tenant_id: TenantId, room_id: RoomId) -> Self {
        Self {
            tenant_id,
            room_id,
            room_type: RoomType::Lobby,
            display_name: None,
            owner_actor_id: None,
            metadata: Map::new(),
            created_at: None,
            updated_at: None,
        }
    }
}

record!(Room in "rooms" as room: [tenant_id, room_id]
    room_type, owner_actor_id, updated_at = room.updated_at.unwrap_or_default());

/// A room's record as its events show it. Events of earlier versions also have the payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomDetails {
    /// The room.
    pub room_id: RoomId,
    /// What kind it is.
    #[schemars(with = "RoomType")]
    pub room_type: String,
    /// What people call it.
    pub display_name: Option<String>,
    /// The owner.
    pub owner_actor_id: Option<ActorId>,
    /// Free data of its owner.
    pub metadata: Map<String, Value>,
}

payloads! {
    /// A room got a record.
    RoomCreated {
        /// The room, whose members are those of the payload.
        #[serde(flatten)]
        room: RoomDetails,
    }
    /// A room's record changed.
    RoomUpdated {
        /// The room, whose members are those of the payload.
        #[serde(flatten)]
        room: RoomDetails,
    }
    /// The room's context was pinned.
    RoomContextPinned {
        /// Its version: 1 for the first pin of the room, then increasing by 1.
        version: u64,
        /// What is pinned.
        content: String,
        /// Free data of the actor that pinned it.
        metadata: Map<String, Value>,
        /// The actor that pinned it.
        pinned_by: ActorId,
    }
}
