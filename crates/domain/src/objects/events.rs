//! The payloads of events about shared objects: each holds the whole object.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::SharedObject;
use crate::kernel::{ActorId, Timestamp, payloads};

/// A shared object as its events show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each field is that of the shared object")]
pub struct ObjectDetails {
    pub object_id: Uuid,
    pub object_type: String,
    pub object_key: Option<String>,
    pub title: Option<String>,
    pub content: Option<String>,
    pub data: Map<String, Value>,
    pub quantity: Option<i64>,
    pub metadata: Map<String, Value>,
    pub version: u64,
    pub created_by: ActorId,
    pub updated_by: ActorId,
    pub created_at: Timestamp,
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
        #[serde(flatten)]
        object: ObjectDetails,
    }
    /// A shared object was changed.
    SharedObjectUpdated {
        #[serde(flatten)]
        object: ObjectDetails,
        changed_fields: Vec<String>,
    }
}
