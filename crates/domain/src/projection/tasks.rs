//! The tasks of the room, projected from its events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::payload_view::PayloadView;
use super::recent::{Keyed, LastChanged};
use crate::kernel::{ActorId, Event, Timestamp};

/// The most tasks that a room shows; the one that changed longest ago is dropped.
pub const MAX_TASKS: usize = 100;

const DONE: &str = "done";

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskEntry {
    /// The task.
    pub task_id: String,
    /// What is to be done; unknown if the events begin after the task was created.
    pub title: Option<String>,
    /// `open`, `active` or `done`.
    pub state: String,
    /// The assignee.
    pub assignee_actor_id: Option<ActorId>,
    /// How much is done, in percent.
    pub progress: i64,
    /// The actor that created it.
    pub created_by: Option<ActorId>,
    /// The actor that finished it.
    pub completed_by: Option<ActorId>,
    /// When it was finished.
    pub completed_at: Option<Timestamp>,
    /// When its last event happened.
    pub updated_at: Timestamp,
}

impl Keyed for TaskEntry {
    fn id(&self) -> &str {
        &self.task_id
    }

    fn changed_at(&self) -> Timestamp {
        self.updated_at
    }
}

impl TaskEntry {
    fn unknown(task_id: String, event: &Event) -> Self {
        Self {
            task_id,
            title: None,
            state: "open".to_owned(),
            assignee_actor_id: None,
            progress: 0,
            created_by: None,
            completed_by: None,
            completed_at: None,
            updated_at: event.timestamp,
        }
    }

    /// Applies a `task_created` or a `task_updated`.
    pub(super) fn describe(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        payload.change(&mut self.title, "title", PayloadView::text);
        payload.change(&mut self.created_by, "createdBy", PayloadView::actor);
        payload.change(&mut self.assignee_actor_id, "assigneeActorId", PayloadView::actor);
        self.progress = payload.integer("progress").unwrap_or(self.progress);
        if let Some(state) = payload.text("state") {
            self.state = state;
            // As in the record of the task, leaving `done` clears the actor that finished it.
            if self.state != DONE {
                self.completed_by = None;
                self.completed_at = None;
            }
        }
    }

    /// Applies a `task_assigned`.
    pub(super) fn assign(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        payload.change(&mut self.assignee_actor_id, "toAssigneeActorId", PayloadView::actor);
    }

    /// Applies a `task_progress_updated`.
    pub(super) fn set_progress(&mut self, event: &Event) {
        self.progress = PayloadView::by(event).integer("toProgress").unwrap_or(self.progress);
    }

    /// Applies a `task_completed`.
    pub(super) fn complete(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        DONE.clone_into(&mut self.state);
        self.progress = payload.integer("progress").unwrap_or(100);
        self.completed_by = payload.actor("completedBy").or_else(|| Some(event.actor_id.clone()));
        self.completed_at = payload.timestamp("completedAt").or(Some(event.timestamp));
    }
}

pub(super) type Tasks = LastChanged<TaskEntry, MAX_TASKS>;

/// Applies an event to its task, with `change`; an event that names no task changes nothing.
pub(super) fn apply(tasks: &mut Tasks, event: &Event, change: fn(&mut TaskEntry, &Event)) {
    let Some(task_id) = PayloadView::by(event).text("taskId") else { return };
    let mut task = tasks.take(&task_id).unwrap_or_else(|| TaskEntry::unknown(task_id, event));
    task.updated_at = event.timestamp;
    change(&mut task, event);
    tasks.put(task);
}
