//! The payloads of events about rooms.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{ActorId, RoomId, payloads};

/// A room's record as its events show it, and the payment that was made with the change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each field is that of the room or of the payment")]
pub struct RoomDetails {
    pub room_id: RoomId,
    pub room_type: String,
    pub display_name: Option<String>,
    pub owner_actor_id: Option<ActorId>,
    pub metadata: Map<String, Value>,
    pub payment_provider: Option<String>,
    pub payment_ref: Option<String>,
    pub payment_amount_usd: Option<f64>,
}

payloads! {
    /// A room got a record.
    RoomCreated {
        #[serde(flatten)]
        room: RoomDetails,
    }
    /// A room's record changed.
    RoomUpdated {
        #[serde(flatten)]
        room: RoomDetails,
    }
    /// The room's context was pinned.
    RoomContextPinned { version: u64, content: String, metadata: Map<String, Value>, pinned_by: ActorId }
}
