//! The payloads of events about rooms.

use serde_json::{Map, Value};

use crate::kernel::{ActorId, RoomId, payloads};

payloads! {
    /// A room got a record.
    RoomCreated {
        room_id: RoomId, room_type: String, display_name: Option<String>, owner_actor_id: Option<ActorId>, metadata: Map<String, Value>,
        payment_provider: Option<String>, payment_ref: Option<String>, payment_amount_usd: Option<f64>,
    }
    /// A room's record changed.
    RoomUpdated {
        room_id: RoomId, room_type: String, display_name: Option<String>, owner_actor_id: Option<ActorId>, metadata: Map<String, Value>,
        payment_provider: Option<String>, payment_ref: Option<String>, payment_amount_usd: Option<f64>,
    }
    /// The room's context was pinned.
    RoomContextPinned { version: u64, content: String, metadata: Map<String, Value>, pinned_by: ActorId }
}
