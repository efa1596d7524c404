//! The context that is pinned to the room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::payload_view::PayloadView;
use crate::kernel::{ActorId, Event, Timestamp};

/// The context that was pinned last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedEntry {
    /// Its version, from 1.
    pub version: i64,
    /// The text.
    pub content: String,
    /// Whatever was added.
    pub metadata: Map<String, Value>,
    /// The actor that pinned it.
    pub pinned_by: ActorId,
    /// When.
    pub ts: Timestamp,
    /// The event.
    pub event_id: Uuid,
}

impl PinnedEntry {
    pub(super) fn of(event: &Event) -> Self {
        let payload = PayloadView::by(event);
        Self {
            version: payload.integer("version").unwrap_or(1).max(1),
            content: payload.text("content").unwrap_or_default(),
            metadata: payload.object("metadata").unwrap_or_default(),
            pinned_by: payload.actor("pinnedBy").unwrap_or_else(|| event.actor_id.clone()),
            ts: event.timestamp,
            event_id: event.event_id,
        }
    }
}
