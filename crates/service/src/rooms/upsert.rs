//! Gives a room a record, or changes it.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::rooms::upsert::{UpsertRoom, UpsertRoomResponse};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

impl Mutation for UpsertRoom {
    type Command = Self;
    type Answer = UpsertRoomResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let actor = self.actor().clone();
        let scope = KeyScope::post([actor.tenant_id.as_str(), "rooms", actor.room_id.as_str(), "upsert"]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }
}
