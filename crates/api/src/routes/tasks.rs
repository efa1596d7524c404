//! `/v1/tasks`: lists, one task, creating and changing it, and handing it over.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, Sequence, TenantId},
        record::{RecordQuery, SortKey},
    },
    tasks::{
        Task, TaskState,
        change::UpdateTask,
        create::CreateTask,
        handoff::{HandOffTask, HandoffPosition},
    },
    work::{self, Editor},
};
use agentcafe_store::Store;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    error::ApiError,
    input::{PathId, ReadRequest, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;
const HANDOFF_LIMIT: usize = 100;
const MAX_HANDOFF_LIMIT: usize = 500;

/// What a list of tasks is asked for.
pub(crate) struct TasksQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    state: Option<TaskState>,
    assignee: Option<ActorId>,
    created_by: Option<ActorId>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl TasksQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            state: query.choice("state", &TaskState::NAMES)?,
            assignee: query.actor("assigneeActorId")?,
            created_by: query.actor("createdBy")?,
            viewer: read_access::viewer(query)?,
            cursor: paging::cursor::<Task>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn find(self) -> RecordQuery {
        RecordQuery::all::<Task>("updated_at", self.limit)
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
pub(crate) struct TasksResponse {
    tasks: Vec<Task>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let wanted = TasksQuery::read(&request.query)?;
    let (engine, room, viewer) = (&request.app.engine, wanted.room.as_ref(), wanted.viewer.as_ref());
    read_access::may_list(engine, &wanted.tenant, room, viewer).await?;
    let (tasks, next_cursor): (Vec<Task>, _) = paging::page(&engine.store, wanted.find()).await?;
    Ok(answer::found(&TasksResponse { count: tasks.len(), tasks, next_cursor }))
}

/// Whose task is asked for.
pub(crate) struct TaskQuery {
    tenant: TenantId,
    viewer: Option<ActorId>,
}

impl TaskQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            viewer: read_access::viewer(query)?,
        })
    }
}

/// One task.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TaskResponse {
    task: Task,
}

/// The task with this id in this tenant. Tasks neither vanish nor move.
async fn find(store: &Store, tenant: &TenantId, id: &str) -> Result<Task, ApiError> {
    let task = match Uuid::parse_str(id) {
        Ok(task_id) => store.get::<Task>(Task::key_of(task_id)).await?,
        Err(_) => None,
    };
    let own = task.filter(|task| task.tenant_id == *tenant);
    own.ok_or_else(|| work::not_found(tenant, "taskId", id).into())
}

pub(crate) async fn by_id(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let TaskQuery { tenant, viewer } = TaskQuery::read(&request.query)?;
    let engine = &request.app.engine;
    let task = find(&engine.store, &tenant, &id).await?;
    read_access::may_read(engine, &tenant, &task.room_id, viewer.as_ref()).await?;
    Ok(answer::found(&TaskResponse { task }))
}

pub(crate) async fn create(request: WriteRequest) -> Result<Response, ApiError> {
    let command = CreateTask::read(&request.body)?;
    let actor = command.actor().clone();
    let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
    let scope = [ids[0], ids[1], "tasks", "create", ids[2]];
    request.execute((&actor).into(), &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let changer = Editor::read(&request.query, &request.body)?;
    let task = find(&request.app.engine.store, &changer.tenant_id, &id).await?;
    let task_id = task.task_id.to_string();
    let command = UpdateTask::read(&request.body, changer, task);
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "tasks", &task_id, "patch"];
    request.execute((&actor).into(), &scope, command).await
}

pub(crate) async fn hand_over(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let changer = Editor::read(&request.query, &request.body)?;
    let task = find(&request.app.engine.store, &changer.tenant_id, &id).await?;
    let task_id = task.task_id.to_string();
    let command = HandOffTask::read(&request.body, changer, task);
    let actor = command.actor().clone();
    let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "tasks", &task_id, "handoff"];
    request.execute((&actor).into(), &scope, command).await
}

/// What a list of handoffs is asked for.
pub(crate) struct HandoffsQuery {
    task: TaskQuery,
    cursor: Sequence,
    limit: usize,
}

impl HandoffsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            task: TaskQuery::read(query)?,
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

pub(crate) async fn handoffs(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let HandoffsQuery { task: TaskQuery { tenant, viewer }, cursor, limit } =
        HandoffsQuery::read(&request.query)?;
    let engine = &request.app.engine;
    let store = &engine.store;
    let Task { task_id, room_id, .. } = find(store, &tenant, &id).await?;
    read_access::may_read(engine, &tenant, &room_id, viewer.as_ref()).await?;
    let places: Vec<HandoffPosition> = store.find(HandoffPosition::after(task_id, cursor, limit)).await?;
    let events = store.events_at(places.iter().map(|place| place.sequence).collect()).await?;
    let next_cursor = events.last().map_or(cursor, |event| event.sequence);
    let end = HandoffsEnd { task_id, count: events.len(), next_cursor };
    Ok(answer::events("handoffs", &events, &end))
}
