//! `POST /v1/commands/…` and `POST /v1/conversations/messages`.

use agentcafe_domain::{
    actor::ActorInRoom,
    arrival::{Enter, Leave},
    command::Command,
    conversation::Say,
    movement::Move,
    order::Order,
};
use axum::response::Response;

use crate::{input::Sent, problem::Problem};

pub(crate) async fn enter(sent: Sent) -> Result<Response, Problem> {
    let command = Enter::read(&sent.body)?;
    act(&sent, &command.actor().clone(), command).await
}

pub(crate) async fn leave(sent: Sent) -> Result<Response, Problem> {
    let command = Leave::read(&sent.body)?;
    act(&sent, &command.actor().clone(), command).await
}

pub(crate) async fn walk(sent: Sent) -> Result<Response, Problem> {
    let command = Move::read(&sent.body)?;
    act(&sent, &command.actor().clone(), command).await
}

pub(crate) async fn say(sent: Sent) -> Result<Response, Problem> {
    let command = Say::read(&sent.body, sent.rules())?;
    act(&sent, &command.actor().clone(), command).await
}

pub(crate) async fn message(sent: Sent) -> Result<Response, Problem> {
    let command = Say::read_message(&sent.body, sent.rules())?;
    act(&sent, &command.actor().clone(), command).await
}

pub(crate) async fn order(sent: Sent) -> Result<Response, Problem> {
    let command = Order::read(&sent.body)?;
    act(&sent, &command.actor().clone(), command).await
}

/// The scope of an agent's command: its room, its actor, its path.
async fn act(sent: &Sent, actor: &ActorInRoom, command: impl Command + 'static) -> Result<Response, Problem> {
    let scope = [actor.room_id.as_str(), actor.actor_id.as_str(), sent.path()];
    sent.execute(actor.into(), &scope, command).await
}
