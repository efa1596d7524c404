//! Creating a task.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::change::append_consequences;
use super::{PROGRESS, Task, TaskCreated, TaskState, WriteTaskResponse};
use crate::inbox;
use crate::kernel::{
    ActorId, ActorInRoom, Command, CommandContext, CommandError, DomainError, Field, Fields, METADATA, Query,
    Reply, Success, Timestamp,
};
use crate::tables::plan::Feature;
use crate::work::{self, MAX_CONTENT_CHARS, MAX_TITLE_CHARS, WorkPolicy};

pub(super) const TITLE: Field =
    Field::new("title", "What is to be done.", "Two flat whites").up_to(MAX_TITLE_CHARS).in_example();
pub(super) const DESCRIPTION: Field =
    Field::new("description", "The details of the task.", "One with oat milk.").up_to(MAX_CONTENT_CHARS);
pub(super) const STATE: Field =
    Field::new("state", "How far the task is. Default: active if it has an assignee, else open.", "active");
pub(super) const ASSIGNEE_ACTOR_ID: Field =
    Field::new("assigneeActorId", "The actor that does the task.", "Kai");
pub(super) const TASK_PROGRESS: Field =
    Field::new("progress", "How much is done, in percent. A task that is done has 100.", "50");

const CREATE: WorkPolicy = WorkPolicy { action: "task_create", feature: Feature::TaskBoard };

/// `POST /v1/tasks`: an actor creates a task.
pub struct CreateTask {
    actor: ActorInRoom,
    draft: Result<NewTask, DomainError>,
}

/// The fields of the task in the body.
struct NewTask {
    title: String,
    description: Option<String>,
    state: TaskState,
    assignee: Option<ActorId>,
    progress: i64,
    metadata: Map<String, Value>,
}

impl NewTask {
    fn read(fields: &Fields) -> Result<Self, DomainError> {
        let title = fields.required_text(TITLE)?;
        let description = fields.filled_text(DESCRIPTION)?;
        let state = fields.choice(STATE, &TaskState::NAMES)?;
        let assignee = fields.actor(ASSIGNEE_ACTOR_ID)?;
        // A task with an assignee is active, unless the sender sets a state.
        let is_begun = assignee.is_some() && !fields.has(STATE.name);
        let default = if is_begun { TaskState::Active } else { TaskState::Open };
        Ok(Self {
            title,
            description,
            state: state.unwrap_or(default),
            assignee,
            progress: fields.bounded(TASK_PROGRESS, PROGRESS)?.unwrap_or(0),
            metadata: fields.object(METADATA)?.unwrap_or_default(),
        })
    }

    fn task(&self, task_id: Uuid, actor: &ActorInRoom, now: Timestamp) -> Task {
        let mut task = Task {
            task_id,
            tenant_id: actor.tenant_id.clone(),
            room_id: actor.room_id.clone(),
            title: self.title.clone(),
            description: self.description.clone(),
            state: TaskState::Open,
            created_by: actor.actor_id.clone(),
            assignee_actor_id: self.assignee.clone(),
            progress: self.progress,
            metadata: self.metadata.clone(),
            created_at: now,
            updated_at: now,
            completed_at: None,
            completed_by: None,
        };
        task.set_state(self.state, &actor.actor_id, now);
        task
    }
}

impl CreateTask {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that identifies the actor is not valid; the command refuses other fields when it is decided.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self { actor: ActorInRoom::read(fields)?, draft: NewTask::read(fields) })
    }

    /// The actor that creates it.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }
}

impl Command for CreateTask {
    fn reads(&self) -> Vec<Query> {
        let assignee = self.draft.iter().filter_map(|draft| draft.assignee.as_ref());
        let unread = assignee.map(|assignee| inbox::counter(&self.actor.with_actor(assignee)));
        work::reads(&self.actor).into_iter().chain(unread).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        CREATE.allow(ctx, &self.actor)?;
        let draft = self.draft.as_ref().map_err(Clone::clone)?;
        let task = draft.task(ctx.fresh_id(), &self.actor, ctx.now);
        let created = TaskCreated {
            task_id: task.task_id,
            title: task.title.clone(),
            state: task.state.as_str().to_owned(),
            assignee_actor_id: task.assignee_actor_id.clone(),
            progress: task.progress,
            created_by: task.created_by.clone(),
        };
        let cause = ctx.append(&self.actor, &created, None)?.cause();
        append_consequences(ctx, &self.actor, (None, &task), &cause)?;
        ctx.put(&task);
        Ok(WriteTaskResponse::reply(ctx, Success::Created, task))
    }
}
