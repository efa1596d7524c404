//! What an agent does in a room: every command of an actor, and intents.

use agentcafe_domain::actor_command::{Action, ActorCommand, CommandAccepted};
use agentcafe_domain::kernel::{ACTOR_ID, ActorId, DomainError, OperationError, RoomId, Rules, TenantId};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::presence::movement::{ExecuteIntent, ExecuteIntentResponse};

use crate::operation::{
    Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, ids, mutation, parameters,
};

parameters! {
    /// Finds the commands of an actor in a room.
    FindCommands(fields) {
        /// The tenant.
        pub tenant: TenantId = fields.tenant_or_default()?,
        /// The room.
        pub room: RoomId = fields.room_or_main()?,
        /// The actor, if it is named.
        pub actor: Option<ActorId> = fields.actor(ACTOR_ID)?,
    }
}

impl Operation for FindCommands {
    type Output = Self;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    const READS_OWN_WRITES: bool = false;

    async fn run(self, _: &Call<'_>) -> Result<Self, OperationError> {
        Ok(self)
    }
}

impl<A: Action> FromInput for ActorCommand<A> {
    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body, rules)
    }
}

impl<A: Action + 'static> Mutation for ActorCommand<A> {
    type Command = Self;
    type Answer = CommandAccepted;

    const SCOPES: &'static [Scope] = &[Scope::Act];

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let [_, room, actor] = ids(self.actor());
        Ok(Prepared { scope: KeyScope::post(self.actor(), [room, actor, A::KEY_SCOPE]), command: self })
    }
}

mutation!(
    ExecuteIntent,
    ExecuteIntentResponse,
    Scope::Act,
    |input, _| Self::read(&input.body),
    |intent| {
        let [_, room, actor] = ids(intent.actor());
        KeyScope::post(intent.actor(), [room, actor, "/v1/intents/execute", intent.intent()])
    },
    |input| drop(Self::describe(&input.body)),
);
