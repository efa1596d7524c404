//! Saves a state of a room, or of an agent in a room.

use agentcafe_domain::{
    kernel::{
        error::{DomainError, OperationError},
        rules::Rules,
    },
    snapshots::{Save, Saved, Scope},
};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

/// Saves a state of a room.
pub struct SaveRoomSnapshot(Save);

/// Saves a state of an agent in a room.
pub struct SaveAgentSnapshot(Save);

/// The scope ends with the first route that the operation had.
fn prepare(command: Save, scope: Scope, route: &str) -> Prepared<Save> {
    let (actor, of) = (command.actor().clone(), command.of());
    let scope = KeyScope::post([of.room_id.as_str(), scope.as_str(), of.actor_or_none(), route]);
    Prepared::by_actor(&actor, scope, command)
}

impl Mutation for SaveRoomSnapshot {
    type Command = Save;
    type Answer = Saved;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Save::read(&input.body, Scope::Room).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Save>, OperationError> {
        Ok(prepare(self.0, Scope::Room, "/v1/snapshots/room"))
    }
}

impl Mutation for SaveAgentSnapshot {
    type Command = Save;
    type Answer = Saved;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Save::read(&input.body, Scope::Agent).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Save>, OperationError> {
        Ok(prepare(self.0, Scope::Agent, "/v1/snapshots/agent"))
    }
}
