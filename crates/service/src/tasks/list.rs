//! Lists tasks, the last changed first.

use agentcafe_domain::kernel::{
    ActorId, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, SortKey, TenantId,
};
use agentcafe_domain::tasks::{Task, TaskState};

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::read_access;

const ASSIGNEE_ACTOR_ID: Field = Field::new("assigneeActorId", "Only tasks of this assignee.", "Kai");
const CREATED_BY: Field = Field::new("createdBy", "Only tasks that this actor created.", "Nova");
const STATE: Field = Field::new("state", "Only tasks in this state.", "active");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists tasks.
pub struct ListTasks {
    tenant: TenantId,
    room: Option<RoomId>,
    state: Option<TaskState>,
    assignee: Option<ActorId>,
    created_by: Option<ActorId>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Tasks, the last changed first.
    TaskList { tasks: Task }
}

impl Operation for ListTasks {
    type Output = TaskList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            state: fields.choice(STATE, &TaskState::NAMES)?,
            assignee: fields.actor(ASSIGNEE_ACTOR_ID)?,
            created_by: fields.actor(CREATED_BY)?,
            viewer: read_access::viewer(fields)?,
            cursor: paging::cursor::<Task>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<TaskList, OperationError> {
        call.service.may_list(&self.tenant, self.room.as_ref(), self.viewer.as_ref()).await?;
        let query = RecordQuery::all::<Task>("updated_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("state", self.state.map(TaskState::as_str))
            .is_if_given("assignee_actor_id", self.assignee.as_ref())
            .is_if_given("created_by", self.created_by.as_ref())
            .behind(self.cursor);
        Ok(call.service.page(query).await?.into())
    }
}
