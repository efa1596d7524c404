//! The payload of the event about what an operator did.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::kernel::{ActorId, Notification, payloads};

/// The overrides of a room after an operator acted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideSummary {
    /// Whether the room is paused.
    pub room_paused: bool,
    /// The operator who paused it.
    pub paused_by: Option<ActorId>,
    /// The actors that are muted.
    pub muted_actor_ids: Vec<ActorId>,
}

payloads! {
    /// An operator acted on a room or an actor.
    OperatorOverrideApplied {
        action: String, target_actor_id: Option<ActorId>, reason: Option<String>, metadata: Map<String, Value>,
        override_state: OverrideSummary,
    } => {
        fn notifications(&self) -> Vec<Notification> {
            let members = json!({
                "action": self.action,
                "targetActorId": self.target_actor_id,
                "reason": self.reason,
            });
            let target = self.target_actor_id.clone();
            target.map(|target| Notification::new("operator", target, members)).into_iter().collect()
        }
    }
}
