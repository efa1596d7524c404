//! The pinned context of a room: what everybody in it should know, version by version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ids::{ActorId, RoomId, TenantId},
    record::{Cell, Key, Record, Table},
    time::Timestamp,
};

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
    /// Who pinned it.
    pub pinned_by: ActorId,
    /// Whether it is the one that counts.
    pub is_active: bool,
    /// When it was pinned.
    pub created_at: Timestamp,
    /// When it was pinned, or replaced.
    pub updated_at: Timestamp,
}

impl Record for PinnedContext {
    const TABLE: &'static Table = &Table {
        name: "pinned_contexts",
        key: &["tenant_id", "room_id", "version"],
        columns: &["is_active"],
    };

    fn key(&self) -> Key {
        vec![(&self.tenant_id).into(), (&self.room_id).into(), (self.version as i64).into()]
    }

    fn columns(&self) -> Vec<Cell> {
        vec![self.is_active.into()]
    }
}
