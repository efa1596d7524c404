//! Rooms that have a record. A room without one is a lobby that anybody may use.

pub mod events;
pub mod pin;
pub mod theme;
pub mod upsert;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{ActorId, Cell, Key, Record, RoomId, Table, TenantId, Timestamp};

/// What kind of room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomType {
    /// Open to all.
    Lobby,
    /// Open to those at a paid table.
    PrivateTable,
}

impl RoomType {
    /// The names of the kinds.
    pub const NAMES: [(&str, Self); 2] = [("lobby", Self::Lobby), ("private_table", Self::PrivateTable)];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lobby => "lobby",
            Self::PrivateTable => "private_table",
        }
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

impl Record for Room {
    const TABLE: &'static Table = &Table {
        name: "rooms",
        key: &["tenant_id", "room_id"],
        columns: &["room_type", "owner_actor_id", "updated_at"],
    };

    fn key(&self) -> Key {
        vec![(&self.tenant_id).into(), (&self.room_id).into()]
    }

    fn columns(&self) -> Vec<Cell> {
        let updated_at = self.updated_at.unwrap_or_default();
        vec![self.room_type.as_str().into(), self.owner_actor_id.as_ref().into(), updated_at.into()]
    }
}
