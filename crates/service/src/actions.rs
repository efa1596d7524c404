//! What an agent does in a room: every command of an actor, and intents.

use agentcafe_domain::actor_command::{Action, ActorCommand, CommandAccepted};
use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::presence::movement::{ExecuteIntent, ExecuteIntentResponse};

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Prepared, ids, mutation};

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
