//! `POST` and `GET /v1/snapshots/room` and `/v1/snapshots/agent`.

use agentcafe_domain::{
    fields::Fields,
    ids::{ActorId, RoomId, TenantId},
    refusal::{Code, Refusal},
    snapshot::{Save, Scope, Snapshot, SnapshotOf},
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    input::{Asked, Sent},
    problem::Problem,
    readgate,
};

pub(crate) async fn save_room(sent: Sent) -> Result<Response, Problem> {
    save(sent, Scope::Room).await
}

pub(crate) async fn save_agent(sent: Sent) -> Result<Response, Problem> {
    save(sent, Scope::Agent).await
}

async fn save(sent: Sent, scope: Scope) -> Result<Response, Problem> {
    let command = Save::read(&sent.body, scope)?;
    let (actor, of) = (command.actor().clone(), command.of().clone());
    let key = [of.room_id.as_str(), scope.as_str(), of.actor_or_none(), sent.path()];
    sent.execute((&actor).into(), &key, command).await
}

/// Which snapshot is asked for.
pub(crate) struct SnapshotAsked {
    of: SnapshotOf,
    version: Option<u64>,
    viewer: Option<ActorId>,
}

impl SnapshotAsked {
    pub(crate) fn read(query: &Fields, scope: Scope) -> Result<Self, Refusal> {
        Ok(Self {
            of: SnapshotOf {
                tenant_id: query.tenant("tenantId")?.unwrap_or_else(TenantId::standard),
                room_id: query.room("roomId")?.unwrap_or_else(RoomId::main),
                scope,
                actor_id: match scope {
                    Scope::Room => None,
                    Scope::Agent => Some(query.required_actor("actorId")?),
                },
            },
            version: query.sequence("version")?.map(|version| version.0),
            viewer: readgate::viewer(query)?,
        })
    }

    fn not_found(&self) -> Refusal {
        let refusal = Refusal::new(Code::NotFound)
            .with("tenantId", self.of.tenant_id.as_str())
            .with("roomId", self.of.room_id.as_str())
            .with("actorId", self.of.actor_id.as_ref().map(ActorId::as_str));
        match self.version {
            Some(version) => refusal.with("version", version),
            None => refusal,
        }
    }
}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SnapshotFound {
    snapshot: Snapshot,
}

pub(crate) async fn room(asked: Asked) -> Result<Response, Problem> {
    find(asked, Scope::Room).await
}

pub(crate) async fn agent(asked: Asked) -> Result<Response, Problem> {
    find(asked, Scope::Agent).await
}

async fn find(asked: Asked, scope: Scope) -> Result<Response, Problem> {
    let wanted = SnapshotAsked::read(&asked.query, scope)?;
    let engine = &asked.app.engine;
    let SnapshotOf { tenant_id, room_id, .. } = &wanted.of;
    readgate::may_read(engine, tenant_id, room_id, wanted.viewer.as_ref()).await?;
    let found = engine.store.find(wanted.of.newest(wanted.version, engine.now())).await?.pop();
    let snapshot = found.ok_or_else(|| wanted.not_found())?;
    Ok(answer::found(&SnapshotFound { snapshot }))
}
