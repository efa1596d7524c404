//! The shared objects of the room: whiteboards, notes and tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::payload_view::PayloadView;
use super::recent::{Keyed, LastChanged};
use crate::kernel::{ActorId, Event, Timestamp};

/// The most shared objects that a room shows; the one that changed longest ago is dropped.
pub const MAX_OBJECTS: usize = 200;

/// A shared object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectEntry {
    /// The object.
    pub object_id: String,
    /// `whiteboard`, `note` or `token`.
    pub object_type: String,
    /// Its name among the objects of the room.
    pub object_key: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Its text.
    pub content: Option<String>,
    /// Its data.
    pub data: Map<String, Value>,
    /// How many there are, of tokens.
    pub quantity: Option<i64>,
    /// Whatever was added.
    pub metadata: Map<String, Value>,
    /// Its version, from 1.
    pub version: i64,
    /// The actor that created it.
    pub created_by: Option<ActorId>,
    /// The actor that changed it last.
    pub updated_by: Option<ActorId>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Keyed for ObjectEntry {
    fn id(&self) -> &str {
        &self.object_id
    }

    fn changed_at(&self) -> Timestamp {
        self.updated_at
    }
}

impl ObjectEntry {
    fn unknown(object_id: String, event: &Event) -> Self {
        Self {
            object_id,
            object_type: "note".to_owned(),
            object_key: None,
            title: None,
            content: None,
            data: Map::new(),
            quantity: None,
            metadata: Map::new(),
            version: 1,
            created_by: None,
            updated_by: None,
            created_at: None,
            updated_at: event.timestamp,
        }
    }

    fn apply(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        if let Some(object_type) = payload.text("objectType") {
            self.object_type = object_type;
        }
        payload.change(&mut self.object_key, "objectKey", PayloadView::text);
        payload.change(&mut self.title, "title", PayloadView::text);
        payload.change(&mut self.content, "content", PayloadView::text);
        payload.change(&mut self.quantity, "quantity", PayloadView::integer);
        if let Some(data) = payload.object("data") {
            self.data = data;
        }
        if let Some(metadata) = payload.object("metadata") {
            self.metadata = metadata;
        }
        self.version = payload.integer("version").unwrap_or(self.version).max(1);
        payload.change(&mut self.created_by, "createdBy", PayloadView::actor);
        self.updated_by = payload.actor("updatedBy").or_else(|| Some(event.actor_id.clone()));
        payload.change(&mut self.created_at, "createdAt", PayloadView::timestamp);
        self.updated_at = payload.timestamp("updatedAt").unwrap_or(event.timestamp);
    }
}

pub(super) type Objects = LastChanged<ObjectEntry, MAX_OBJECTS>;

/// Applies an event to its object; an event that names no object has no effect.
pub(super) fn apply(objects: &mut Objects, event: &Event) {
    let Some(object_id) = PayloadView::by(event).text("objectId") else { return };
    let mut object = objects.take(&object_id).unwrap_or_else(|| ObjectEntry::unknown(object_id, event));
    object.apply(event);
    objects.put(object);
}
