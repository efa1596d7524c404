//! `/v1/tasks`: lists, one task, creating and changing it, and handing it over.

use agentcafe_domain::{
    fields::Fields,
    ids::{ActorId, RoomId, Sequence, TenantId},
    record::{Find, OrderPlace},
    refusal::Refusal,
    task::{
        Task, TaskState,
        change::ChangeTask,
        create::CreateTask,
        handoff::{HandOver, HandoffPlace},
    },
    work::{self, Changer},
};
use agentcafe_store::Store;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    input::{Asked, PathId, Sent},
    paging,
    problem::Problem,
    readgate,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;
const HANDOFF_LIMIT: usize = 100;
const MAX_HANDOFF_LIMIT: usize = 500;

/// What a list of tasks is asked for.
pub(crate) struct TasksAsked {
    tenant: TenantId,
    room: Option<RoomId>,
    state: Option<TaskState>,
    assignee: Option<ActorId>,
    created_by: Option<ActorId>,
    viewer: Option<ActorId>,
    cursor: Option<OrderPlace>,
    limit: usize,
}

impl TasksAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            room: query.room("roomId")?,
            state: query.choice("state", &TaskState::NAMES)?,
            assignee: query.actor("assigneeActorId")?,
            created_by: query.actor("createdBy")?,
            viewer: readgate::viewer(query)?,
            cursor: paging::cursor::<Task>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn find(self) -> Find {
        Find::all::<Task>("updated_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("state", self.state.map(TaskState::as_str))
            .is_if_given("assignee_actor_id", self.assignee.as_ref())
            .is_if_given("created_by", self.created_by.as_ref())
            .behind(self.cursor)
    }
}

/// The answer to a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TasksFound {
    tasks: Vec<Task>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(asked: Asked) -> Result<Response, Problem> {
    let wanted = TasksAsked::read(&asked.query)?;
    let (engine, room, viewer) = (&asked.app.engine, wanted.room.as_ref(), wanted.viewer.as_ref());
    readgate::may_list(engine, &wanted.tenant, room, viewer).await?;
    let (tasks, next_cursor): (Vec<Task>, _) = paging::page(&engine.store, wanted.find()).await?;
    Ok(answer::found(&TasksFound { count: tasks.len(), tasks, next_cursor }))
}

/// Whose task is asked for.
pub(crate) struct TaskAsked {
    tenant: TenantId,
    viewer: Option<ActorId>,
}

impl TaskAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
            viewer: readgate::viewer(query)?,
        })
    }
}

/// One task.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TaskFound {
    task: Task,
}

/// The task with this id in this tenant. Tasks neither vanish nor move.
async fn find(store: &Store, tenant: &TenantId, id: &str) -> Result<Task, Problem> {
    let task = match Uuid::parse_str(id) {
        Ok(task_id) => store.get::<Task>(Task::key_of(task_id)).await?,
        Err(_) => None,
    };
    let own = task.filter(|task| task.tenant_id == *tenant);
    own.ok_or_else(|| work::not_found(tenant, "taskId", id).into())
}

pub(crate) async fn by_id(PathId(id): PathId, asked: Asked) -> Result<Response, Problem> {
    let TaskAsked { tenant, viewer } = TaskAsked::read(&asked.query)?;
    let engine = &asked.app.engine;
    let task = find(&engine.store, &tenant, &id).await?;
    readgate::may_read(engine, &tenant, &task.room_id, viewer.as_ref()).await?;
    Ok(answer::found(&TaskFound { task }))
}

pub(crate) async fn create(sent: Sent) -> Result<Response, Problem> {
    let command = CreateTask::read(&sent.body)?;
    let actor = command.actor().clone();
    let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
    let scope = [ids[0], ids[1], "tasks", "create", ids[2]];
    sent.execute((&actor).into(), &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, sent: Sent) -> Result<Response, Problem> {
    let changer = Changer::read(&sent.query, &sent.body)?;
    let task = find(&sent.app.engine.store, &changer.tenant_id, &id).await?;
    let task_id = task.task_id.to_string();
    let command = ChangeTask::read(&sent.body, changer, task);
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "tasks", &task_id, "patch"];
    sent.execute((&actor).into(), &scope, command).await
}

pub(crate) async fn hand_over(PathId(id): PathId, sent: Sent) -> Result<Response, Problem> {
    let changer = Changer::read(&sent.query, &sent.body)?;
    let task = find(&sent.app.engine.store, &changer.tenant_id, &id).await?;
    let task_id = task.task_id.to_string();
    let command = HandOver::read(&sent.body, changer, task);
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "tasks", &task_id, "handoff"];
    sent.execute((&actor).into(), &scope, command).await
}

/// What a list of handoffs is asked for.
pub(crate) struct HandoffsAsked {
    task: TaskAsked,
    cursor: Sequence,
    limit: usize,
}

impl HandoffsAsked {
    pub(crate) fn read(query: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            task: TaskAsked::read(query)?,
            cursor: query.sequence("cursor")?.unwrap_or(Sequence::START),
            limit: query.limit(HANDOFF_LIMIT, MAX_HANDOFF_LIMIT)?,
        })
    }
}

/// Where a page of handoffs ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HandoffsEnd {
    task_id: Uuid,
    count: usize,
    next_cursor: Sequence,
}

pub(crate) async fn handoffs(PathId(id): PathId, asked: Asked) -> Result<Response, Problem> {
    let HandoffsAsked { task: TaskAsked { tenant, viewer }, cursor, limit } =
        HandoffsAsked::read(&asked.query)?;
    let engine = &asked.app.engine;
    let store = &engine.store;
    let Task { task_id, room_id, .. } = find(store, &tenant, &id).await?;
    readgate::may_read(engine, &tenant, &room_id, viewer.as_ref()).await?;
    let places: Vec<HandoffPlace> = store.find(HandoffPlace::after(task_id, cursor, limit)).await?;
    let events = store.events_at(places.iter().map(|place| place.sequence).collect()).await?;
    let next_cursor = events.last().map_or(cursor, |event| event.sequence);
    let end = HandoffsEnd { task_id, count: events.len(), next_cursor };
    Ok(answer::events("handoffs", &events, &end))
}
