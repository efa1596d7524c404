//! Tasks: what is to be done in a room, and by whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    ids::{ActorId, RoomId, TenantId},
    record::{Cell, Key, Record, Table},
    time::Timestamp,
};

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Active,
    /// It is finished.
    Done,
}

impl TaskState {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Active => "active",
            Self::Done => "done",
        }
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
    /// Who wants it done.
    pub created_by: ActorId,
    /// Who does it.
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
    /// Who finished it.
    pub completed_by: Option<ActorId>,
}

impl Record for Task {
    const TABLE: &'static Table = &Table {
        name: "tasks",
        key: &["task_id"],
        columns: &["tenant_id", "room_id", "state", "assignee_actor_id", "created_by", "updated_at"],
    };

    fn key(&self) -> Key {
        vec![self.task_id.to_string().as_str().into()]
    }

    fn columns(&self) -> Vec<Cell> {
        vec![
            (&self.tenant_id).into(),
            (&self.room_id).into(),
            self.state.as_str().into(),
            self.assignee_actor_id.as_ref().into(),
            (&self.created_by).into(),
            self.updated_at.into(),
        ]
    }
}
