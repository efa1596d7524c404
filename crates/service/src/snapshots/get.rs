//! Reads a snapshot: the newest, or a version.

use agentcafe_domain::kernel::{ActorId, Code, DomainError, Field, Fields, OperationError, Rules};
use agentcafe_domain::snapshots::{Snapshot, SnapshotScope, SnapshotSubject};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, Operation};
use crate::read_access;

const ACTOR_ID: Field = Field::new("actorId", "The actor whose snapshot it is.", "Nova");
const VERSION: Field = Field::new("version", "The version to read. Default: the newest.", "1");

struct SnapshotQuery {
    of: SnapshotSubject,
    version: Option<u64>,
    viewer: Option<ActorId>,
}

/// Reads what was saved of a room.
pub struct GetRoomSnapshot(SnapshotQuery);

/// Reads what an agent saved of itself in a room.
pub struct GetAgentSnapshot(SnapshotQuery);

/// One snapshot.
#[derive(Serialize, JsonSchema)]
pub struct OneSnapshot {
    /// The snapshot.
    snapshot: Snapshot,
}

impl SnapshotQuery {
    fn read(fields: &Fields, scope: SnapshotScope) -> Result<Self, DomainError> {
        Ok(Self {
            of: SnapshotSubject {
                tenant_id: fields.tenant_or_default()?,
                room_id: fields.room_or_main()?,
                scope,
                actor_id: match scope {
                    SnapshotScope::Room => None,
                    SnapshotScope::Agent => Some(fields.required_actor(ACTOR_ID)?),
                },
            },
            version: fields.sequence(VERSION)?.map(|version| version.0),
            viewer: read_access::viewer(fields)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneSnapshot, OperationError> {
        let SnapshotSubject { tenant_id, room_id, .. } = &self.of;
        call.service.may_read(tenant_id, room_id, self.viewer.as_ref()).await?;
        let newest = self.of.newest(self.version, call.service.engine.now());
        let snapshot = call.service.find(newest).await?.pop().ok_or_else(|| self.not_found())?;
        Ok(OneSnapshot { snapshot })
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

impl Operation for GetRoomSnapshot {
    type Output = OneSnapshot;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        SnapshotQuery::read(&input.parameters, SnapshotScope::Room).map(Self)
    }

    async fn run(self, call: &Call<'_>) -> Result<OneSnapshot, OperationError> {
        self.0.run(call).await
    }
}

impl Operation for GetAgentSnapshot {
    type Output = OneSnapshot;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        SnapshotQuery::read(&input.parameters, SnapshotScope::Agent).map(Self)
    }

    async fn run(self, call: &Call<'_>) -> Result<OneSnapshot, OperationError> {
        self.0.run(call).await
    }
}
