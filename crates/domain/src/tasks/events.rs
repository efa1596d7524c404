//! The payloads of events about tasks.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::kernel::{ActorId, Notification, Timestamp, payloads};

payloads! {
    /// A task was created.
    TaskCreated {
        task_id: Uuid, title: String, state: String, assignee_actor_id: Option<ActorId>, progress: i64, created_by: ActorId,
    }
    /// A task was changed.
    TaskUpdated {
        task_id: Uuid, changed_fields: Vec<String>, state: String, assignee_actor_id: Option<ActorId>, progress: i64,
    }
    /// A task has another assignee, or none.
    TaskAssigned {
        task_id: Uuid, from_assignee_actor_id: Option<ActorId>, to_assignee_actor_id: Option<ActorId>, assigned_by: ActorId,
    } => {
        fn notifications(&self) -> Vec<Notification> {
            let members = json!({
                "taskId": self.task_id,
                "fromAssigneeActorId": self.from_assignee_actor_id,
                "toAssigneeActorId": self.to_assignee_actor_id,
                "assignedBy": self.assigned_by,
            });
            let assignee = self.to_assignee_actor_id.clone();
            assignee.map(|assignee| Notification::new("task", assignee, members)).into_iter().collect()
        }
    }
    /// A task's progress changed.
    TaskProgressUpdated { task_id: Uuid, from_progress: i64, to_progress: i64 }
    /// A task was completed.
    TaskCompleted { task_id: Uuid, completed_by: ActorId, completed_at: Timestamp, progress: i64 }
    /// A task was handed off, accepted, reported blocked or reported done.
    TaskHandoff {
        handoff_id: Uuid, task_id: Uuid, action: String, from_assignee_actor_id: Option<ActorId>,
        to_assignee_actor_id: Option<ActorId>, initiated_by: ActorId, owner_actor_id: ActorId, state: String, progress: i64,
        note: Option<String>, blocked_reason: Option<String>, thread_id: Option<String>, reply_to_event_id: Option<String>,
        metadata: Map<String, Value>, target_actor_ids: Vec<ActorId>, at: Timestamp,
    } => {
        /// A new assignee is notified by `task_assigned` already.
        fn notifications(&self) -> Vec<Notification> {
            let members = json!({
                "taskId": self.task_id,
                "action": self.action,
                "note": self.note,
                "blockedReason": self.blocked_reason,
                "initiatedBy": self.initiated_by,
            });
            let assignee = self.to_assignee_actor_id.as_ref();
            let new_assignee = assignee.filter(|to| Some(*to) != self.from_assignee_actor_id.as_ref());
            let recipients = self.target_actor_ids.iter().filter(|target| Some(*target) != new_assignee);
            recipients.map(|to| Notification::new("task", to.clone(), members.clone())).collect()
        }
    }
}
