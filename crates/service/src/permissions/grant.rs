//! Gives capabilities to an actor in a room, or takes them away.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::permissions::grant::{GrantPermission, GrantPermissionResponse};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

impl Mutation for GrantPermission {
    type Command = Self;
    type Answer = GrantPermissionResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let actor = self.actor().clone();
        let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
        let scope = KeyScope::post([ids[0], "permissions", ids[1], ids[2]]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }
}
