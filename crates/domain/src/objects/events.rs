//! The payloads of events about shared objects: each holds the whole object.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{ActorId, Timestamp, payloads};

payloads! {
    /// A shared object was created.
    SharedObjectCreated {
        object_id: Uuid, object_type: String, object_key: Option<String>, title: Option<String>, content: Option<String>,
        data: Map<String, Value>, quantity: Option<i64>, metadata: Map<String, Value>, version: u64, created_by: ActorId,
        updated_by: ActorId, created_at: Timestamp, updated_at: Timestamp,
    }
    /// A shared object was changed.
    SharedObjectUpdated {
        object_id: Uuid, object_type: String, object_key: Option<String>, title: Option<String>, content: Option<String>,
        data: Map<String, Value>, quantity: Option<i64>, metadata: Map<String, Value>, version: u64, created_by: ActorId,
        updated_by: ActorId, created_at: Timestamp, updated_at: Timestamp, changed_fields: Vec<String>,
    }
}
