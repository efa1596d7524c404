//! Shared objects: whiteboards, notes and tokens that lie in a room for everybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{
    ActorId, Cell, CommandContext, CorrelationId, EmittedEvent, Key, Record, RoomId, Table, TenantId,
    Timestamp,
};

pub mod change;
pub mod create;
pub mod events;
#[cfg(test)]
mod tests;

/// The largest quantity: whole numbers up to here are the same in every JSON.
const MAX_QUANTITY: i64 = 9_007_199_254_740_991;

/// What kind of thing an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectType {
    /// Something to draw on.
    Whiteboard,
    /// Something to read.
    Note,
    /// Something to count.
    Token,
}

impl ObjectType {
    /// The names of the types, in the order of the documentation.
    pub const NAMES: [(&str, Self); 3] =
        [("whiteboard", Self::Whiteboard), ("note", Self::Note), ("token", Self::Token)];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whiteboard => "whiteboard",
            Self::Note => "note",
            Self::Token => "token",
        }
    }

    /// What counts as this type's quantity: of tokens there is always a number.
    fn quantity(self, sent: Option<i64>) -> Option<i64> {
        if self == Self::Token { sent.or(Some(0)) } else { sent }
    }
}

/// A shared object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedObject {
    /// The object.
    pub object_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// What kind of thing it is.
    pub object_type: ObjectType,
    /// What its users call it.
    pub object_key: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Its text.
    pub content: Option<String>,
    /// Its data.
    pub data: Map<String, Value>,
    /// How many there are; always a number for tokens.
    pub quantity: Option<i64>,
    /// Whatever is added.
    pub metadata: Map<String, Value>,
    /// 1 at first, then increasing by 1 with each change.
    pub version: u64,
    /// The actor that created it.
    pub created_by: ActorId,
    /// The actor that last changed it.
    pub updated_by: ActorId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl SharedObject {
    /// The key of an object.
    pub fn key_of(object_id: Uuid) -> Key {
        vec![object_id.to_string().as_str().into()]
    }
}

impl Record for SharedObject {
    const TABLE: &'static Table = &Table {
        name: "shared_objects",
        key: &["object_id"],
        columns: &[
            "tenant_id",
            "room_id",
            "object_type",
            "object_key",
            "created_by",
            "updated_by",
            "updated_at",
        ],
    };

    fn key(&self) -> Key {
        Self::key_of(self.object_id)
    }

    fn columns(&self) -> Vec<Cell> {
        vec![
            (&self.tenant_id).into(),
            (&self.room_id).into(),
            self.object_type.as_str().into(),
            self.object_key.as_deref().into(),
            (&self.created_by).into(),
            (&self.updated_by).into(),
            self.updated_at.into(),
        ]
    }
}

/// The answer to a command that created or changed an object.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteObjectResponse {
    /// The object.
    object: SharedObject,
    /// Every event of this request, in order.
    emitted_events: Vec<EmittedEvent>,
    correlation_id: CorrelationId,
}

impl WriteObjectResponse {
    fn of(ctx: &CommandContext<'_>, object: SharedObject) -> Self {
        Self { object, emitted_events: ctx.emitted(), correlation_id: ctx.correlation_id.clone() }
    }
}
