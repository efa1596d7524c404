//! Shared objects of a room: whiteboards, notes and tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{ActorId, Key, RoomId, TenantId, Timestamp, payloads, record, response, wire_enum};

pub mod change;
pub mod create;

/// The largest quantity: whole numbers up to here are the same in every JSON.
const MAX_QUANTITY: i64 = 9_007_199_254_740_991;

wire_enum! {
    /// What kind of thing an object is.
    #[derive(JsonSchema)]
    pub enum ObjectType {
        /// Something to draw on.
        Whiteboard = "whiteboard",
        /// Something to read.
        Note = "note",
        /// Something to count.
        Token = "token",
    }
}

impl ObjectType {
    /// The quantity of an object of this type; a token always has one.
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
        vec![object_id.into()]
    }
}

record!(SharedObject in "shared_objects": [object_id]
    tenant_id, room_id, object_type, object_key, created_by, updated_by, updated_at);

response! {
    /// The answer to a command that created or changed an object.
    WriteObjectResponse + emitted_events {
        /// The object.
        object: SharedObject,
    }
}

/// A shared object as its events show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectDetails {
    /// The object.
    pub object_id: Uuid,
    /// What kind of thing it is.
    #[schemars(with = "ObjectType")]
    pub object_type: String,
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
    /// Free data of its users.
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

impl From<SharedObject> for ObjectDetails {
    fn from(object: SharedObject) -> Self {
        Self {
            object_id: object.object_id,
            object_type: object.object_type.as_str().to_owned(),
            object_key: object.object_key,
            title: object.title,
            content: object.content,
            data: object.data,
            quantity: object.quantity,
            metadata: object.metadata,
            version: object.version,
            created_by: object.created_by,
            updated_by: object.updated_by,
            created_at: object.created_at,
            updated_at: object.updated_at,
        }
    }
}

payloads! {
    /// A shared object was created.
    SharedObjectCreated {
        /// The object, whose members are those of the payload.
        #[serde(flatten)]
        object: ObjectDetails,
    }
    /// A shared object was changed.
    SharedObjectUpdated {
        /// The object, whose members are those of the payload.
        #[serde(flatten)]
        object: ObjectDetails,
        /// The fields that changed.
        changed_fields: Vec<String>,
    }
}
