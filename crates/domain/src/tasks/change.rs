//! Changing a task.

use serde_json::{Map, Value};

use super::create::{ASSIGNEE_ACTOR_ID, DESCRIPTION, STATE, TASK_PROGRESS, TITLE};
use super::{
    PROGRESS, Task, TaskAssigned, TaskCompleted, TaskProgressUpdated, TaskState, TaskUpdated,
    WriteTaskResponse,
};
use crate::inbox;
use crate::kernel::{
    ActorId, ActorInRoom, Authority, Command, CommandContext, CommandError, DomainError, EmittedEvent, Field,
    Fields, METADATA, Query, Reply, Success, Timestamp,
};
use crate::permissions;
use crate::tables::plan::Feature;
use crate::work::{self, Editor, WorkPolicy};

/// The policy of changes, by a patch or a handoff.
pub(super) const UPDATE: WorkPolicy = WorkPolicy { action: "task_update", feature: Feature::TaskBoard };

/// What can be changed, in the order of the documentation.
const CHANGEABLE: [Field; 6] = [TITLE, DESCRIPTION, STATE, ASSIGNEE_ACTOR_ID, TASK_PROGRESS, METADATA];

/// `PATCH /v1/tasks/{taskId}`: an actor changes what it names.
pub struct UpdateTask {
    actor: ActorInRoom,
    task: Task,
    patch: Result<TaskPatch, DomainError>,
    authority: Authority,
}

/// The fields that the body names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TaskPatch {
    title: Option<String>,
    description: Option<Option<String>>,
    state: Option<TaskState>,
    assignee: Option<Option<ActorId>>,
    progress: Option<i64>,
    metadata: Option<Map<String, Value>>,
}

impl TaskPatch {
    pub(super) fn read(fields: &Fields) -> Result<Self, DomainError> {
        if CHANGEABLE.iter().all(|field| !fields.has(field.name)) {
            return Err(work::names_nothing(&CHANGEABLE));
        }
        Ok(Self {
            title: title(fields)?,
            description: work::named(fields, DESCRIPTION, Fields::filled_text)?,
            state: fields.changed_choice(STATE, &TaskState::NAMES)?,
            assignee: work::named(fields, ASSIGNEE_ACTOR_ID, Fields::actor)?,
            progress: work::named(fields, TASK_PROGRESS, |fields, field| {
                Ok(fields.bounded(field, PROGRESS)?.unwrap_or(0))
            })?,
            metadata: work::named(fields, METADATA, |fields, field| {
                Ok(fields.object(field)?.unwrap_or_default())
            })?,
        })
    }

    /// The task as the patch leaves it, and which of its fields were named or followed from what was named.
    pub(super) fn apply(&self, before: &Task, by: &ActorId, now: Timestamp) -> (Task, Vec<&'static str>) {
        let mut task = Task { updated_at: now, ..before.clone() };
        work::set(&mut task.title, &self.title);
        work::set(&mut task.description, &self.description);
        work::set(&mut task.assignee_actor_id, &self.assignee);
        work::set(&mut task.metadata, &self.metadata);
        // An open task that gets an assignee is active, unless the patch sets a state.
        let begins =
            self.state.is_none() && matches!(self.assignee, Some(Some(_))) && before.state == TaskState::Open;
        let state = if begins { Some(TaskState::Active) } else { self.state };
        if let Some(state) = state {
            task.set_state(state, by, now);
        }
        if let Some(progress) = self.progress {
            task.advance(progress);
        }
        let is_named = [
            self.title.is_some(),
            self.description.is_some(),
            self.state.is_some(),
            self.assignee.is_some(),
            self.progress.is_some(),
            self.metadata.is_some(),
        ];
        let named = CHANGEABLE.into_iter().zip(is_named).filter(|(_, is_named)| *is_named);
        let finishes = self.state == Some(TaskState::Done) && self.progress.is_none();
        let followed = begins.then_some(STATE.name).into_iter().chain(finishes.then_some(TASK_PROGRESS.name));
        (task, named.map(|(field, _)| field.name).chain(followed).collect())
    }
}

/// The title, if the patch names it; it cannot be removed.
fn title(fields: &Fields) -> Result<Option<String>, DomainError> {
    let is_named = fields.has(TITLE.name) && !fields.is_describing();
    if is_named { fields.required_text(TITLE).map(Some) } else { fields.trimmed_text(TITLE) }
}

/// Appends the events of a task that was changed. Answers the `task_updated`, which caused the others.
pub(super) fn append_changes(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    (before, after): (&Task, &Task),
    changed: &[&str],
) -> Result<EmittedEvent, CommandError> {
    let updated = TaskUpdated {
        task_id: after.task_id,
        changed_fields: changed.iter().map(|name| (*name).to_owned()).collect(),
        state: after.state.as_str().to_owned(),
        assignee_actor_id: after.assignee_actor_id.clone(),
        progress: after.progress,
    };
    let updated = ctx.append(actor, &updated, None)?;
    append_consequences(ctx, actor, (Some(before), after), &updated.cause())?;
    Ok(updated)
}

/// Appends the events of a new assignee, progress or completion, caused by `cause`; `before` is none for a new task.
pub(super) fn append_consequences(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    (before, after): (Option<&Task>, &Task),
    cause: &str,
) -> Result<(), CommandError> {
    let task_id = after.task_id;
    let from_assignee_actor_id = before.and_then(|before| before.assignee_actor_id.clone());
    if from_assignee_actor_id != after.assignee_actor_id {
        let to_assignee_actor_id = after.assignee_actor_id.clone();
        let assigned_by = actor.actor_id.clone();
        let assigned = TaskAssigned { task_id, from_assignee_actor_id, to_assignee_actor_id, assigned_by };
        ctx.append(actor, &assigned, Some(cause))?;
    }
    if let Some(before) = before.filter(|before| before.progress != after.progress) {
        let (from_progress, to_progress) = (before.progress, after.progress);
        let progressed = TaskProgressUpdated { task_id, from_progress, to_progress };
        ctx.append(actor, &progressed, Some(cause))?;
    }
    let was_done = before.is_some_and(|before| before.state == TaskState::Done);
    if after.state == TaskState::Done && !was_done {
        let (completed_by, completed_at) = (actor.actor_id.clone(), ctx.now);
        let completed = TaskCompleted { task_id, completed_by, completed_at, progress: after.progress };
        ctx.append(actor, &completed, Some(cause))?;
    }
    Ok(())
}

impl UpdateTask {
    /// Reads the task's fields from the body. The task is in the editor's tenant.
    pub fn read(fields: &Fields, editor: Editor, task: Task) -> Self {
        let (actor, patch) = (editor.in_room(&task.room_id), TaskPatch::read(fields));
        Self { actor, task, patch, authority: fields.authority() }
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) {
        let _ = Editor::read(fields, fields);
        let _ = TaskPatch::read(fields);
    }

    /// The actor that changes it, in the task's room.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// With an API key, a task is changed by its creator, its assignee and operators of the room.
    fn check_caller(&self, ctx: &CommandContext<'_>, before: &Task) -> Result<(), CommandError> {
        let by = &self.actor.actor_id;
        if before.created_by == *by || before.assignee_actor_id.as_ref() == Some(by) {
            return Ok(());
        }
        permissions::require_operator(ctx, self.authority, &self.actor, UPDATE.action)
    }
}

impl Command for UpdateTask {
    fn reads(&self) -> Vec<Query> {
        let assignee = self.patch.iter().filter_map(|patch| patch.assignee.as_ref()?.as_ref());
        let unread = assignee.map(|assignee| inbox::counter(&self.actor.with_actor(assignee)));
        let task = Query::one::<Task>(Task::key_of(self.task.task_id));
        work::reads(&self.actor).into_iter().chain([task]).chain(unread).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        UPDATE.allow(ctx, &self.actor)?;
        let patch = self.patch.as_ref().map_err(Clone::clone)?;
        let before = current(ctx, &self.task)?;
        self.check_caller(ctx, &before)?;
        let (task, changed) = patch.apply(&before, &self.actor.actor_id, ctx.now);
        append_changes(ctx, &self.actor, (&before, &task), &changed)?;
        ctx.put(&task);
        Ok(WriteTaskResponse::reply(ctx, Success::Ok, task))
    }
}

/// The task as it is now; `seen` is the task that was read before the command was submitted.
pub(super) fn current(ctx: &CommandContext<'_>, seen: &Task) -> Result<Task, CommandError> {
    let missing = || work::not_found(&seen.tenant_id, "taskId", &seen.task_id.to_string());
    Ok(ctx.get::<Task>(Task::key_of(seen.task_id))?.ok_or_else(missing)?)
}
