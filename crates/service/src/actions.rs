//! What an agent does in a room: enter, leave, move, say, order, and carry out an intent.

use agentcafe_domain::actor_command::{Action, ActorCommand, CommandAccepted};
use agentcafe_domain::conversation::Say;
use agentcafe_domain::orders::Order;
use agentcafe_domain::presence::arrival::{Enter, Leave};
use agentcafe_domain::presence::movement::{ExecuteIntent, ExecuteIntentResponse, Move};

use crate::operation::{KeyScope, ids, mutation};

/// The scope of a command of an agent: the room, the actor, and the first route that the command had.
fn scope<A: Action>(command: &ActorCommand<A>, first_route: &str) -> KeyScope {
    let [_, room, actor] = ids(command.actor());
    KeyScope::post(command.actor(), [room, actor, first_route])
}

macro_rules! agent_mutation {
    ($command:ident $(($inner:ty))?, $first_route:literal, $read:expr) => {
        mutation!($command $(($inner))?, CommandAccepted, $read, |command| scope(command, $first_route));
    };
}

agent_mutation!(Enter, "/v1/commands/enter", |input, _| Enter::read(&input.body));
agent_mutation!(Leave, "/v1/commands/leave", |input, _| Leave::read(&input.body));
agent_mutation!(Move, "/v1/commands/move", |input, _| Move::read(&input.body));
agent_mutation!(Order, "/v1/commands/order", |input, _| Order::read(&input.body));
agent_mutation!(Say, "/v1/commands/say", |input, rules| Say::read(&input.body, rules));

/// Says something, as a message of a conversation.
pub struct PostMessage(Say);

agent_mutation!(PostMessage(Say), "/v1/conversations/messages", |input, rules| {
    Say::read_message(&input.body, rules)
});

mutation!(
    ExecuteIntent,
    ExecuteIntentResponse,
    |input, _| Self::read(&input.body),
    |intent| {
        let [_, room, actor] = ids(intent.actor());
        KeyScope::post(intent.actor(), [room, actor, "/v1/intents/execute", intent.intent()])
    },
    |input| drop(Self::describe(&input.body)),
);
