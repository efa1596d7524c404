//! Saves a state of a room, or of an agent in a room.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::snapshots::{CreateSnapshot, CreateSnapshotResponse, SnapshotScope};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

/// Saves a state of a room.
pub struct SaveRoomSnapshot(CreateSnapshot);

/// Saves a state of an agent in a room.
pub struct SaveAgentSnapshot(CreateSnapshot);

/// The scope ends with the first route that the operation had.
fn prepare(command: CreateSnapshot, scope: SnapshotScope, route: &str) -> Prepared<CreateSnapshot> {
    let (actor, of) = (command.actor().clone(), command.of());
    let scope = KeyScope::post([of.room_id.as_str(), scope.as_str(), of.actor_or_none(), route]);
    Prepared::by_actor(&actor, scope, command)
}

impl Mutation for SaveRoomSnapshot {
    type Command = CreateSnapshot;
    type Answer = CreateSnapshotResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        CreateSnapshot::read(&input.body, SnapshotScope::Room).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<CreateSnapshot>, OperationError> {
        Ok(prepare(self.0, SnapshotScope::Room, "/v1/snapshots/room"))
    }
}

impl Mutation for SaveAgentSnapshot {
    type Command = CreateSnapshot;
    type Answer = CreateSnapshotResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        CreateSnapshot::read(&input.body, SnapshotScope::Agent).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<CreateSnapshot>, OperationError> {
        Ok(prepare(self.0, SnapshotScope::Agent, "/v1/snapshots/agent"))
    }
}
