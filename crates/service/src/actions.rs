//! What an agent does in a room: enter, leave, move, say, order, and carry out an intent.

use agentcafe_domain::actor_command::CommandAccepted;
use agentcafe_domain::conversation::Say;
use agentcafe_domain::kernel::{ActorInRoom, Command, DomainError, OperationError, Rules};
use agentcafe_domain::orders::Order;
use agentcafe_domain::presence::arrival::{Enter, Leave};
use agentcafe_domain::presence::movement::{ExecuteIntent, ExecuteIntentResponse, Move};

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

/// A command of an agent. Its key counts for the room, the actor and the first route that the command had.
fn by_agent<C: Command>(actor: ActorInRoom, route: &str, command: C) -> Prepared<C> {
    let scope = KeyScope::post([actor.room_id.as_str(), actor.actor_id.as_str(), route]);
    Prepared::by_actor(&actor, scope, command)
}

macro_rules! agent_mutation {
    ($command:ty, $route:literal, $read:expr) => {
        impl Mutation for $command {
            type Command = Self;
            type Answer = CommandAccepted;

            fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
                let read: fn(&Input, &Rules) -> Result<Self, DomainError> = $read;
                read(input, rules)
            }

            async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
                Ok(by_agent(self.actor().clone(), $route, self))
            }
        }
    };
}
agent_mutation!(Enter, "/v1/commands/enter", |input, _| Enter::read(&input.body));
agent_mutation!(Leave, "/v1/commands/leave", |input, _| Leave::read(&input.body));
agent_mutation!(Move, "/v1/commands/move", |input, _| Move::read(&input.body));
agent_mutation!(Order, "/v1/commands/order", |input, _| Order::read(&input.body));
agent_mutation!(Say, "/v1/commands/say", |input, rules| Say::read(&input.body, rules));

/// Says something, as a message of a conversation.
pub struct PostMessage(Say);

impl Mutation for PostMessage {
    type Command = Say;
    type Answer = CommandAccepted;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Say::read_message(&input.body, rules).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Say>, OperationError> {
        Ok(by_agent(self.0.actor().clone(), "/v1/conversations/messages", self.0))
    }
}

impl Mutation for ExecuteIntent {
    type Command = Self;
    type Answer = ExecuteIntentResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (actor, intent) = (self.actor().clone(), self.intent().to_owned());
        let route = "/v1/intents/execute";
        let scope = KeyScope::post([actor.room_id.as_str(), actor.actor_id.as_str(), route, &intent]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = Self::describe(&input.body);
    }
}
