//! The payloads of events about private tables.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{ActorId, RoomId, Timestamp, payloads};

payloads! {
    /// A session at a private table began.
    TableSessionCreated {
        session_id: Uuid, room_id: RoomId, owner_actor_id: ActorId, plan_id: String, invited_actor_ids: Vec<ActorId>,
        status: String, started_at: Timestamp, expires_at: Option<Timestamp>, payment_provider: String,
        payment_ref: Option<String>, payment_amount_usd: f64, metadata: Map<String, Value>,
    }
    /// A session changed.
    TableSessionUpdated {
        session_id: Uuid, status: String, plan_id: String, invited_actor_ids: Vec<ActorId>, started_at: Timestamp,
        expires_at: Option<Timestamp>, ended_at: Option<Timestamp>, metadata: Map<String, Value>, changed_fields: Vec<String>,
    }
    /// A session ended; the reason is `expired` if its time ran out.
    TableSessionEnded {
        session_id: Uuid,
        ended_at: Timestamp,
        owner_actor_id: ActorId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}
