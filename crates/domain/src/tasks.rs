//! Tasks: what is to be done in a room, and by whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::kernel::{
    ActorId, Key, Notification, RoomId, TenantId, Timestamp, payloads, record, response, wire_enum,
};

pub mod change;
pub mod create;
pub mod handoff;

/// How much of a task may be done, in percent.
const PROGRESS: std::ops::RangeInclusive<i64> = 0..=100;

wire_enum! {
    /// How far a task is.
    #[derive(JsonSchema)]
    pub enum TaskState {
        /// Nobody works on it.
        Open = "open",
        /// Somebody does.
        Active = "active",
        /// It is finished.
        Done = "done",
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The task.
    pub task_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// What is to be done.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// How far it is.
    pub state: TaskState,
    /// The actor that created it.
    pub created_by: ActorId,
    /// The assignee.
    pub assignee_actor_id: Option<ActorId>,
    /// How much is done, 0 to 100.
    pub progress: i64,
    /// Whatever is added.
    pub metadata: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was finished.
    pub completed_at: Option<Timestamp>,
    /// The actor that finished it.
    pub completed_by: Option<ActorId>,
}

impl Task {
    /// The key of a task.
    pub fn key_of(task_id: Uuid) -> Key {
        vec![task_id.into()]
    }

    /// Sets the state: a task that is done keeps the actor and the time of its completion, and its progress is 100.
    fn set_state(&mut self, state: TaskState, by: &ActorId, now: Timestamp) {
        match (self.state, state) {
            (TaskState::Done, TaskState::Done) => {}
            (_, TaskState::Done) => {
                self.completed_at = Some(now);
                self.completed_by = Some(by.clone());
            }
            _ => {
                self.completed_at = None;
                self.completed_by = None;
            }
        }
        self.state = state;
        self.advance(self.progress);
    }

    /// Sets the progress; that of a task that is done is always 100.
    fn advance(&mut self, progress: i64) {
        self.progress = if self.state == TaskState::Done { *PROGRESS.end() } else { progress };
    }
}

response! {
    /// The answer to a command that created or changed a task.
    WriteTaskResponse + emitted_events {
        /// The task.
        task: Task,
    }
}

record!(Task in "tasks": [task_id] tenant_id, room_id, state, assignee_actor_id, created_by, updated_at);

payloads! {
    /// A task was created.
    TaskCreated {
        /// The task.
        task_id: Uuid,
        /// What is to be done.
        title: String,
        /// How far it is.
        #[schemars(with = "TaskState")]
        state: String,
        /// The assignee.
        assignee_actor_id: Option<ActorId>,
        /// How much is done, 0 to 100.
        progress: i64,
        /// The actor that created it.
        created_by: ActorId,
    }
    /// A task was changed.
    TaskUpdated {
        /// The task.
        task_id: Uuid,
        /// The fields that changed.
        changed_fields: Vec<String>,
        /// How far it is.
        #[schemars(with = "TaskState")]
        state: String,
        /// The assignee.
        assignee_actor_id: Option<ActorId>,
        /// How much is done, 0 to 100.
        progress: i64,
    }
    /// A task has another assignee, or none.
    TaskAssigned {
        /// The task.
        task_id: Uuid,
        /// The assignee before.
        from_assignee_actor_id: Option<ActorId>,
        /// The assignee now; null: nobody.
        to_assignee_actor_id: Option<ActorId>,
        /// The actor that assigned it.
        assigned_by: ActorId,
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
    TaskProgressUpdated {
        /// The task.
        task_id: Uuid,
        /// How much was done before, 0 to 100.
        from_progress: i64,
        /// How much is done now, 0 to 100.
        to_progress: i64,
    }
    /// A task was completed.
    TaskCompleted {
        /// The task.
        task_id: Uuid,
        /// The actor that completed it.
        completed_by: ActorId,
        /// When it was completed.
        completed_at: Timestamp,
        /// How much is done: 100.
        progress: i64,
    }
    /// A task was handed off, accepted, reported blocked or reported done.
    TaskHandoff {
        /// The handoff.
        handoff_id: Uuid,
        /// The task.
        task_id: Uuid,
        /// What was done with the task.
        #[schemars(with = "handoff::HandoffAction")]
        action: String,
        /// The assignee before.
        from_assignee_actor_id: Option<ActorId>,
        /// The assignee now; null: nobody.
        to_assignee_actor_id: Option<ActorId>,
        /// The actor that did it.
        initiated_by: ActorId,
        /// The actor that the task is with now: its assignee, else its creator.
        owner_actor_id: ActorId,
        /// How far the task is.
        #[schemars(with = "TaskState")]
        state: String,
        /// How much of it is done, 0 to 100.
        progress: i64,
        /// A message to the actors that the handoff concerns.
        note: Option<String>,
        /// Why the task is blocked.
        blocked_reason: Option<String>,
        /// The thread of the conversation about the task.
        thread_id: Option<String>,
        /// The event that the handoff answers.
        reply_to_event_id: Option<String>,
        /// Free data of the actor.
        metadata: Map<String, Value>,
        /// The actors that the handoff concerns.
        target_actor_ids: Vec<ActorId>,
        /// When it was done.
        at: Timestamp,
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
