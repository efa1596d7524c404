//! The payloads of events about presence and movement.

use serde_json::{Map, Value};

use super::position::{PathSegment, Point, SentPosition};
use super::record::Status;
use crate::kernel::{ActorId, Timestamp, payloads};

payloads! {
    /// An actor entered the room.
    AgentEntered {
        source: String, reason: String, entered_at: Timestamp, position: Option<SentPosition>, metadata: Map<String, Value>,
    }
    /// An actor left the room, or an operator removed it.
    AgentLeft {
        source: String, reason: String, left_at: Timestamp, forced: bool, operator_id: Option<ActorId>, metadata: Map<String, Value>,
    }
    /// An actor's status changed.
    StatusChanged {
        from_status: Option<Status>, to_status: Status, reason: String, source: String, changed_at: Timestamp,
        last_heartbeat_at: Option<Timestamp>, expires_at: Option<Timestamp>, operator_id: Option<ActorId>,
        metadata: Map<String, Value>, from: Option<Status>, to: Status,
    }
    /// An actor sent a heartbeat, or did something that counts as one.
    PresenceHeartbeat {
        status: Status, ttl_ms: i64, last_heartbeat_at: Timestamp, expires_at: Timestamp,
    }
    /// An actor moved, by a command, an intent or a reaction.
    ActorMoved {
        #[serde(flatten)]
        leg: PathSegment,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target_label: Option<String>,
    }
    /// The path to an intent's target was found.
    IntentPlanned { intent: String, target: Point, label: String, from: Point, path: Vec<PathSegment> }
    /// An intent's target was reached.
    IntentCompleted { intent: String, target: Point, label: String, final_position: Point, outcome: String }
}
