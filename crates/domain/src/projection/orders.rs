//! What was ordered in the room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::payload_view::PayloadView;
use super::recent::NewestFirst;
use crate::kernel::{ActorId, Event, Timestamp};

/// The most orders that a room shows.
pub const MAX_ORDERS: usize = 50;

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderEntry {
    /// The actor that ordered.
    pub actor_id: ActorId,
    /// What.
    pub item_id: Option<String>,
    /// In which size.
    pub size: Option<String>,
    /// When.
    pub ts: Timestamp,
    /// The event.
    pub event_id: Uuid,
}

pub(super) type Orders = NewestFirst<OrderEntry, MAX_ORDERS>;

impl OrderEntry {
    pub(super) fn of(event: &Event) -> Self {
        let payload = PayloadView::by(event);
        Self {
            actor_id: event.actor_id.clone(),
            item_id: payload.text("itemId"),
            size: payload.text("size"),
            ts: event.timestamp,
            event_id: event.event_id,
        }
    }
}
