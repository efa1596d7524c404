//! `/v1/table-sessions`: private tables, bought for a while.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{RecordQuery, SortKey},
    },
    tables::{
        self, SessionStatus, SessionView, TableSession, change::UpdateTableSession, open::CreateTableSession,
    },
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    error::ApiError,
    input::{PathId, ReadRequest, Subject, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;
/// Stands in the scope of a key for a room that the client does not name.
const FRESH_ROOM: &str = "auto";

/// What a list of sessions is asked for.
pub(crate) struct SessionsQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    owner: Option<ActorId>,
    status: Option<SessionStatus>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl SessionsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            owner: query.actor("ownerActorId")?,
            status: query.choice("status", &SessionStatus::NAMES)?,
            viewer: read_access::viewer(query)?,
            cursor: paging::cursor::<TableSession>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// One session.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SessionResponse {
    session: SessionView,
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionsResponse {
    sessions: Vec<SessionView>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let SessionsQuery { tenant, room, owner, status, viewer, cursor, limit } =
        SessionsQuery::read(&request.query)?;
    let find = RecordQuery::all::<TableSession>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .is_if_given("room_id", room.as_ref())
        .is_if_given("owner_actor_id", owner.as_ref())
        .is_if_given("status", status.map(SessionStatus::as_str))
        .behind(cursor);
    let engine = &request.app.engine;
    let (mut sessions, next_cursor): (Vec<TableSession>, _) = paging::page(&engine.store, find).await?;
    sessions.retain(|session| read_access::may_see_session(engine, session, viewer.as_ref()).is_ok());
    let sessions: Vec<_> = sessions.into_iter().map(|session| session.shown_to(viewer.as_ref())).collect();
    Ok(answer::found(&SessionsResponse { count: sessions.len(), sessions, next_cursor }))
}

/// What a session is asked for by its id: the tenant, and who looks.
pub(crate) fn read_viewer(query: &Fields) -> Result<(TenantId, Option<ActorId>), DomainError> {
    Ok((query.tenant("tenantId")?.unwrap_or_else(TenantId::default), read_access::viewer(query)?))
}

pub(crate) async fn by_id(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let (tenant, viewer) = read_viewer(&request.query)?;
    let found: Option<TableSession> = match Uuid::parse_str(&id) {
        Ok(id) => request.app.engine.store.get(TableSession::key_of(id)).await?,
        Err(_) => None,
    };
    let own = found.filter(|session| session.tenant_id == tenant);
    let session = own.ok_or_else(|| tables::not_found(&tenant, &id))?;
    read_access::may_see_session(&request.app.engine, &session, viewer.as_ref())?;
    Ok(answer::found(&SessionResponse { session: session.shown_to(viewer.as_ref()) }))
}

pub(crate) async fn open(request: WriteRequest) -> Result<Response, ApiError> {
    let command = CreateTableSession::read(&request.body, request.rules())?;
    let (tenant, actor, owner, room) = command.subject();
    let (tenant, actor, owner, room) = (tenant.clone(), actor.clone(), owner.clone(), room.cloned());
    let scope_room = room.as_ref().map_or(FRESH_ROOM, RoomId::as_str);
    let scope = [tenant.as_str(), "table-sessions", "create", scope_room, owner.as_str()];
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: Some(&actor) };
    request.execute(subject, &scope, command).await
}

pub(crate) async fn change(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let command = UpdateTableSession::read(&id, &request.query, &request.body)?;
    let (tenant, actor, session) = command.subject();
    let (tenant, actor, session) = (tenant.clone(), actor.clone(), session.to_string());
    let scope = [tenant.as_str(), "table-sessions", &session, "patch"];
    let subject = Subject { tenant: &tenant, room: None, actor: Some(&actor) };
    request.execute(subject, &scope, command).await
}
