//! Snapshots: what was saved of a room, and what an agent saved of itself in one.

use agentcafe_domain::kernel::{ActorId, Code, DomainError, Field, Fields, OperationError, Rules};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::snapshots::{
    CreateSnapshot, CreateSnapshotResponse, Snapshot, SnapshotScope, SnapshotSubject,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, FromInput, Input, KeyScope, Operation, mutation};
use crate::read_access;

const ACTOR_ID: Field = Field::new("actorId", "The actor whose snapshot it is.", "Nova").of_caller();
const VERSION: Field = Field::new("version", "The version to read. Default: the newest.", "1");

struct SnapshotQuery {
    of: SnapshotSubject,
    version: Option<u64>,
    viewer: Option<ActorId>,
}

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

/// Declares the two operations on snapshots of one scope. The scope of a key ends with the first route of its operation.
macro_rules! snapshots {
    ($scope:expr, $read_scope:expr, $(#[$get_doc:meta])* $get:ident, $(#[$save_doc:meta])* $save:ident, $first_route:literal) => {
        $(#[$get_doc])*
        pub struct $get(SnapshotQuery);

        impl FromInput for $get {
            fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
                SnapshotQuery::read(&input.parameters, $scope).map(Self)
            }
        }

        impl Operation for $get {
            type Output = OneSnapshot;

            const SCOPES: &'static [Scope] = &[$read_scope];

            async fn run(self, call: &Call<'_>) -> Result<OneSnapshot, OperationError> {
                self.0.run(call).await
            }
        }

        $(#[$save_doc])*
        pub struct $save(CreateSnapshot);

        mutation!(
            $save(CreateSnapshot),
            CreateSnapshotResponse,
            Scope::Remember,
            |input, _| CreateSnapshot::read(&input.body, $scope),
            |save| {
                let of = save.of();
                let parts = [of.room_id.as_str(), $scope.as_str(), of.actor_or_none(), $first_route];
                KeyScope::post(save.actor(), parts)
            },
        );
    };
}

snapshots! {
    SnapshotScope::Room,
    Scope::Listen,
    /// Reads what was saved of a room: the newest, or a version.
    GetRoomSnapshot,
    /// Saves a state of a room.
    SaveRoomSnapshot,
    "/v1/snapshots/room"
}

snapshots! {
    SnapshotScope::Agent,
    Scope::Remember,
    /// Reads what an agent saved of itself in a room: the newest, or a version.
    GetAgentSnapshot,
    /// Saves a state of an agent in a room.
    SaveAgentSnapshot,
    "/v1/snapshots/agent"
}
