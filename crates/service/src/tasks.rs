//! Tasks: listing, reading, creating, changing and handing over.

use agentcafe_domain::kernel::{
    ActorId, CURSOR, Comparison, DomainError, Field, OperationError, RecordQuery, Rules, Sequence, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::tasks::create::CreateTask;
use agentcafe_domain::tasks::handoff::HandoffPosition;
use agentcafe_domain::tasks::{Task, TaskState, WriteTaskResponse};
use agentcafe_eventlog::MAX_PAGE_BYTES;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, EventList, FromInput, Input, KeyScope, Operation, ids, mutation, parameters};
use crate::paging::{RoomRecords, record_list};
use crate::work::GetWork;

pub use crate::work::{HandOffTask, UpdateTask};

const ASSIGNEE_ACTOR_ID: Field = Field::new("assigneeActorId", "Only tasks of this assignee.", "Kai");
const CREATED_BY: Field = Field::new("createdBy", "Only tasks that this actor created.", "Nova");
const STATE: Field = Field::new("state", "Only tasks in this state.", "active");

const HANDOFF_LIMIT: usize = 100;
const MAX_HANDOFF_LIMIT: usize = 500;

record_list! {
    /// Tasks, the last changed first.
    TaskList { tasks: Task }
}

parameters! {
    /// Lists tasks, the last changed first.
    ListTasks(fields) {
        list: RoomRecords = RoomRecords::read::<Task>(fields, |all| {
            Ok(all
                .is_if_given("state", fields.choice(STATE, &TaskState::NAMES)?.map(TaskState::as_str))
                .is_if_given("assignee_actor_id", fields.actor(ASSIGNEE_ACTOR_ID)?.as_ref())
                .is_if_given("created_by", fields.actor(CREATED_BY)?.as_ref()))
        })?,
    }
}

impl Operation for ListTasks {
    type Output = TaskList;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<TaskList, OperationError> {
        Ok(self.list.readable(call).await?.into())
    }
}

/// One task.
#[derive(Serialize, JsonSchema)]
pub struct OneTask {
    /// The task.
    task: Task,
}

impl From<Task> for OneTask {
    fn from(task: Task) -> Self {
        Self { task }
    }
}

/// Reads one task.
pub type GetTask = GetWork<Task>;

mutation!(CreateTask, WriteTaskResponse, Scope::Work, |input, _| Self::read(&input.body), |task| {
    let [tenant, room, actor] = ids(task.actor());
    KeyScope::post(task.actor(), [tenant, room, "tasks", "create", actor])
});

/// Lists the handoffs of a task, oldest first.
pub struct ListHandoffs {
    task: GetTask,
    cursor: Sequence,
    limit: usize,
}

/// Where a page of handoffs ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandoffsEnd {
    /// The task.
    task_id: Uuid,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor to continue from; unchanged if nothing was found.
    next_cursor: Sequence,
}

impl FromInput for ListHandoffs {
    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            task: GetTask::read(input, rules)?,
            cursor: input.parameters.sequence(CURSOR)?.unwrap_or(Sequence::START),
            limit: input.parameters.limit(HANDOFF_LIMIT, MAX_HANDOFF_LIMIT)?,
        })
    }
}

impl Operation for ListHandoffs {
    type Output = EventList<HandoffsEnd>;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<EventList<HandoffsEnd>, OperationError> {
        let task_id = self.task.find(call).await?.task_id;
        let query = HandoffPosition::after(task_id, self.cursor, self.limit);
        let positions: Vec<HandoffPosition> = call.service.find(query).await?;
        let sequences = positions.iter().map(|position| position.sequence).collect();
        let events = call.service.store().events_at(sequences, MAX_PAGE_BYTES).await?;
        let next_cursor = events.last().map_or(self.cursor, |event| event.sequence);
        let rest = HandoffsEnd { task_id, count: events.len(), next_cursor };
        Ok(EventList { events, later: Vec::new(), rest })
    }
}

/// The tasks of an actor that are not done, the last changed first.
pub(crate) fn unfinished_of(tenant: &TenantId, actor: &ActorId, limit: usize) -> RecordQuery {
    RecordQuery::all::<Task>("updated_at", limit)
        .newest_first()
        .is("tenant_id", tenant)
        .is("assignee_actor_id", actor)
        .only("state", Comparison::IsNot, TaskState::Done.as_str())
}
