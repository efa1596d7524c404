//! Shows that an actor is present.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::presence::{Heartbeat, HeartbeatResponse};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

impl Mutation for Heartbeat {
    type Command = Self;
    type Answer = HeartbeatResponse;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body, rules)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let actor = self.actor().clone();
        let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
        let scope = KeyScope::post([ids[0], ids[1], ids[2], "presence", "heartbeat"]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }
}
