//! `POST` and `GET /v1/snapshots/room` and `/v1/snapshots/agent`.

use agentcafe_domain::{
    kernel::{
        error::{Code, DomainError},
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
    },
    snapshots::{CreateSnapshot, Snapshot, SnapshotScope, SnapshotSubject},
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    error::ApiError,
    input::{ReadRequest, WriteRequest},
    read_access,
};

pub(crate) async fn save_room(request: WriteRequest) -> Result<Response, ApiError> {
    save(request, SnapshotScope::Room).await
}

pub(crate) async fn save_agent(request: WriteRequest) -> Result<Response, ApiError> {
    save(request, SnapshotScope::Agent).await
}

async fn save(request: WriteRequest, scope: SnapshotScope) -> Result<Response, ApiError> {
    let command = CreateSnapshot::read(&request.body, scope)?;
    let (actor, of) = (command.actor().clone(), command.of().clone());
    let key = [of.room_id.as_str(), scope.as_str(), of.actor_or_none(), request.path()];
    request.execute((&actor).into(), &key, command).await
}

/// Which snapshot is asked for.
pub(crate) struct SnapshotQuery {
    of: SnapshotSubject,
    version: Option<u64>,
    viewer: Option<ActorId>,
}

impl SnapshotQuery {
    pub(crate) fn read(query: &Fields, scope: SnapshotScope) -> Result<Self, DomainError> {
        Ok(Self {
            of: SnapshotSubject {
                tenant_id: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
                room_id: query.room("roomId")?.unwrap_or_else(RoomId::main),
                scope,
                actor_id: match scope {
                    SnapshotScope::Room => None,
                    SnapshotScope::Agent => Some(query.required_actor("actorId")?),
                },
            },
            version: query.sequence("version")?.map(|version| version.0),
            viewer: read_access::viewer(query)?,
        })
    }

    fn not_found(&self) -> DomainError {
        let error = DomainError::new(Code::NotFound)
            .with("tenantId", self.of.tenant_id.as_str())
            .with("roomId", self.of.room_id.as_str())
            .with("actorId", self.of.actor_id.as_ref().map(ActorId::as_str));
        match self.version {
            Some(version) => error.with("version", version),
            None => error,
        }
    }
}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SnapshotResponse {
    snapshot: Snapshot,
}

pub(crate) async fn room(request: ReadRequest) -> Result<Response, ApiError> {
    find(request, SnapshotScope::Room).await
}

pub(crate) async fn agent(request: ReadRequest) -> Result<Response, ApiError> {
    find(request, SnapshotScope::Agent).await
}

async fn find(request: ReadRequest, scope: SnapshotScope) -> Result<Response, ApiError> {
    let wanted = SnapshotQuery::read(&request.query, scope)?;
    let engine = &request.app.engine;
    let SnapshotSubject { tenant_id, room_id, .. } = &wanted.of;
    read_access::may_read(engine, tenant_id, room_id, wanted.viewer.as_ref()).await?;
    let found = engine.store.find(wanted.of.newest(wanted.version, engine.now())).await?.pop();
    let snapshot = found.ok_or_else(|| wanted.not_found())?;
    Ok(answer::found(&SnapshotResponse { snapshot }))
}
