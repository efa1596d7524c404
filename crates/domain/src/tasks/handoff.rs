//! Handoffs of a task: assign it, accept it, report it blocked or done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::change::{UPDATE, append_changes, current};
use super::{Task, TaskHandoff, TaskState};
use crate::inbox;
use crate::kernel::{
    ActorId, ActorInRoom, Authority, Code, Command, CommandContext, CommandError, Comparison, DomainError,
    EXAMPLE_ID, Field, Fields, MAX_REFERENCE_CHARS, METADATA, Query, RecordQuery, Reply, RoomId, Sequence,
    Success, TenantId, Timestamp, record, response, wire_enum,
};
use crate::work::{self, Editor};

/// The longest note, and the longest reason for being blocked, in characters.
pub const MAX_NOTE_CHARS: usize = 4_000;

const ACTION: Field = Field::new(
    "action",
    "What happens to the task: assign gives it to toAssigneeActorId, accept takes it, blocked reports an obstacle, done completes it.",
    "assign",
);
const TO_ASSIGNEE_ACTOR_ID: Field =
    Field::new("toAssigneeActorId", "The actor that gets the task; required by assign.", "Kai").in_example();
const NOTE: Field =
    Field::new("note", "A message to the actors that the handoff concerns.", "The beans are in the drawer.")
        .up_to(MAX_NOTE_CHARS);
const BLOCKED_REASON: Field =
    Field::new("blockedReason", "Why the task is blocked; blocked requires it or a note.", "No milk.")
        .up_to(MAX_NOTE_CHARS);
const THREAD_ID: Field = Field::new("threadId", "The thread of the conversation about the task.", "thread-1")
    .up_to(MAX_REFERENCE_CHARS);
const REPLY_TO_EVENT_ID: Field =
    Field::new("replyToEventId", "The event that this handoff answers.", EXAMPLE_ID)
        .up_to(MAX_REFERENCE_CHARS);

wire_enum! {
    /// What is done with the task.
    #[derive(JsonSchema)]
    pub(super) enum HandoffAction {
        /// It gets another assignee.
        Assign = "assign",
        /// Its actor takes it.
        Accept = "accept",
        /// An obstacle is reported.
        Blocked = "blocked",
        /// It is completed.
        Done = "done",
    }
}

impl HandoffAction {
    /// Whether `actor` may do this with the task. A task without an assignee is anybody's to accept; with an actor's API key,
    /// it must be accepted before it is reported blocked or done.
    fn is_open_to(self, task: &Task, actor: &ActorId, authority: Authority) -> bool {
        let is_creator = task.created_by == *actor;
        let is_assignee = task.assignee_actor_id.as_ref() == Some(actor);
        let has_no_assignee = task.assignee_actor_id.is_none();
        match self {
            Self::Assign => is_creator || is_assignee,
            Self::Accept => is_assignee || has_no_assignee,
            Self::Blocked | Self::Done => {
                is_creator || is_assignee || (has_no_assignee && authority == Authority::Admin)
            }
        }
    }
}

/// The fields of the body.
struct HandoffInput {
    action: HandoffAction,
    to: Option<ActorId>,
    note: Option<String>,
    blocked_reason: Option<String>,
    thread_id: Option<String>,
    reply_to_event_id: Option<String>,
    metadata: Map<String, Value>,
}

impl HandoffInput {
    fn read(fields: &Fields) -> Result<Self, DomainError> {
        let input = Self {
            action: fields.required_choice(ACTION, &HandoffAction::NAMES, Code::InvalidEnum)?,
            to: fields.actor(TO_ASSIGNEE_ACTOR_ID)?,
            note: fields.filled_text(NOTE)?,
            blocked_reason: fields.filled_text(BLOCKED_REASON)?,
            thread_id: fields.trimmed_text(THREAD_ID)?,
            reply_to_event_id: fields.trimmed_text(REPLY_TO_EVENT_ID)?,
            metadata: fields.object(METADATA)?.unwrap_or_default(),
        };
        match input.action {
            HandoffAction::Assign if input.to.is_none() => Err(TO_ASSIGNEE_ACTOR_ID.missing()),
            HandoffAction::Blocked if input.blocked_reason.is_none() && input.note.is_none() => {
                Err(DomainError::new(Code::Validation)
                    .saying("a blocked task needs a reason: send blockedReason or note")
                    .with("fields", vec!["blockedReason", "note"]))
            }
            _ => Ok(input),
        }
    }

    /// The assignee after the handoff.
    fn next_assignee(&self, task: &Task, by: &ActorId) -> Option<ActorId> {
        match self.action {
            HandoffAction::Assign => self.to.clone(),
            HandoffAction::Accept => Some(by.clone()),
            HandoffAction::Blocked => task.assignee_actor_id.clone(),
            HandoffAction::Done => task.assignee_actor_id.clone().or_else(|| Some(by.clone())),
        }
    }

    /// The task after the handoff, and which of its fields changed.
    fn apply(&self, before: &Task, by: &ActorId, now: Timestamp) -> (Task, Vec<&'static str>) {
        let mut task = Task { updated_at: now, ..before.clone() };
        task.assignee_actor_id = self.next_assignee(before, by);
        match self.action {
            HandoffAction::Assign | HandoffAction::Accept if before.state == TaskState::Open => {
                task.set_state(TaskState::Active, by, now);
            }
            HandoffAction::Done => task.set_state(TaskState::Done, by, now),
            HandoffAction::Assign | HandoffAction::Accept | HandoffAction::Blocked => {}
        }
        let record = json!({
            "action": self.action.as_str(),
            "by": by,
            "at": now,
            "fromAssigneeActorId": before.assignee_actor_id,
            "toAssigneeActorId": task.assignee_actor_id,
            "note": self.note,
            "blockedReason": self.blocked_reason,
            "threadId": self.thread_id,
            "replyToEventId": self.reply_to_event_id,
        });
        task.metadata.insert("handoff".to_owned(), record);
        let changed = [
            ("state", before.state != task.state),
            ("assigneeActorId", before.assignee_actor_id != task.assignee_actor_id),
            ("progress", before.progress != task.progress),
            ("metadata", true),
        ];
        (task, changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect())
    }

    /// The actors to notify: the creator, the assignee before and the assignee now; never the actor that hands off.
    fn targets(&self, before: &Task, after: &Task, by: &ActorId) -> Vec<ActorId> {
        let (previous, current) = (before.assignee_actor_id.as_ref(), after.assignee_actor_id.as_ref());
        let concerned = match self.action {
            HandoffAction::Assign => [previous, current],
            HandoffAction::Accept => [previous, None],
            HandoffAction::Blocked | HandoffAction::Done => [None, current],
        };
        let mut targets: Vec<ActorId> = Vec::new();
        for actor in std::iter::once(&after.created_by).chain(concerned.into_iter().flatten()) {
            if actor != by && !targets.contains(actor) {
                targets.push(actor.clone());
            }
        }
        targets
    }

    /// The event's payload.
    fn event(&self, handoff_id: Uuid, (before, after): (&Task, &Task), by: &ActorId) -> TaskHandoff {
        TaskHandoff {
            handoff_id,
            task_id: after.task_id,
            action: self.action.as_str().to_owned(),
            from_assignee_actor_id: before.assignee_actor_id.clone(),
            to_assignee_actor_id: after.assignee_actor_id.clone(),
            initiated_by: by.clone(),
            // The owner now: the assignee, else the creator.
            owner_actor_id: after.assignee_actor_id.clone().unwrap_or_else(|| after.created_by.clone()),
            state: after.state.as_str().to_owned(),
            progress: after.progress,
            note: self.note.clone(),
            blocked_reason: self.blocked_reason.clone(),
            thread_id: self.thread_id.clone(),
            reply_to_event_id: self.reply_to_event_id.clone(),
            metadata: self.metadata.clone(),
            target_actor_ids: self.targets(before, after, by),
            at: after.updated_at,
        }
    }
}

/// The position of a handoff in the log, so that a task's handoffs are found without searching the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoffPosition {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The task.
    pub task_id: Uuid,
    /// The place of its `task_handoff`.
    pub sequence: Sequence,
}

impl HandoffPosition {
    /// The handoffs of a task after a place in the log, oldest first.
    pub fn after(task_id: Uuid, cursor: Sequence, limit: usize) -> RecordQuery {
        let of_task = RecordQuery::all::<Self>("sequence", limit).is("task_id", task_id);
        of_task.only("sequence", Comparison::Above, cursor)
    }
}

record!(HandoffPosition in "task_handoffs": [task_id, sequence] tenant_id, room_id);

/// `POST /v1/tasks/{taskId}/handoffs`: an actor hands a task off.
pub struct HandOffTask {
    actor: ActorInRoom,
    task: Task,
    input: Result<HandoffInput, DomainError>,
    authority: Authority,
}

response! {
    /// The answer to a [`HandOffTask`].
    HandOffTaskResponse + emitted_events {
        /// The task.
        task: Task,
        /// The payload of the task_handoff event.
        #[schemars(with = "Map<String, Value>")]
        handoff: TaskHandoff,
    }
}

impl HandOffTask {
    /// Reads the task's fields from the body. The task is in the editor's tenant.
    pub fn read(fields: &Fields, editor: Editor, task: Task) -> Self {
        let (actor, input) = (editor.in_room(&task.room_id), HandoffInput::read(fields));
        Self { actor, task, input, authority: fields.authority() }
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) {
        let _ = Editor::read(fields, fields);
        let _ = HandoffInput::read(fields);
    }

    /// The actor that hands it off, in the task's room.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// Checks that the task is not done, and that the actor may hand it off.
    fn check(&self, input: &HandoffInput, task: &Task) -> Result<(), DomainError> {
        let task_id = task.task_id.to_string();
        if task.state == TaskState::Done {
            return Err(DomainError::new(Code::Conflict)
                .saying("the task is done")
                .with("tenantId", task.tenant_id.as_str())
                .with("taskId", task_id)
                .with("state", task.state.as_str()));
        }
        if !input.action.is_open_to(task, &self.actor.actor_id, self.authority) {
            return Err(self
                .actor
                .describe(DomainError::new(Code::Forbidden))
                .saying("the actor is not allowed to hand off this task in this way")
                .with("taskId", task_id)
                .with("action", input.action.as_str()));
        }
        Ok(())
    }
}

impl Command for HandOffTask {
    fn reads(&self) -> Vec<Query> {
        let to = self.input.iter().filter_map(|input| input.to.as_ref());
        let concerned = to.chain(&self.task.assignee_actor_id).chain([&self.task.created_by]);
        let unread = concerned.map(|actor| inbox::counter(&self.actor.with_actor(actor)));
        let task = Query::one::<Task>(Task::key_of(self.task.task_id));
        work::reads(&self.actor).into_iter().chain([task]).chain(unread).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        UPDATE.allow(ctx, &self.actor)?;
        let input = self.input.as_ref().map_err(Clone::clone)?;
        let before = current(ctx, &self.task)?;
        self.check(input, &before)?;
        let by = &self.actor.actor_id;
        let (task, changed) = input.apply(&before, by, ctx.now);
        let updated = append_changes(ctx, &self.actor, (&before, &task), &changed)?;
        let handoff = input.event(ctx.fresh_id(), (&before, &task), by);
        let appended = ctx.append(&self.actor, &handoff, Some(&updated.cause()))?;
        ctx.put(&HandoffPosition {
            tenant_id: task.tenant_id.clone(),
            room_id: task.room_id.clone(),
            task_id: task.task_id,
            sequence: appended.sequence,
        });
        ctx.put(&task);
        Ok(HandOffTaskResponse::reply(ctx, Success::Ok, task, handoff))
    }
}
