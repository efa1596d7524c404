//! `POST /v1/commands/…` and `POST /v1/conversations/messages`.

use agentcafe_domain::{
    conversation::Say,
    kernel::{actor::ActorInRoom, command::Command},
    orders::Order,
    presence::{
        arrival::{Enter, Leave},
        movement::Move,
    },
};
use axum::response::Response;

use crate::{error::ApiError, input::WriteRequest};

pub(crate) async fn enter(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Enter::read(&request.body)?;
    act(&request, &command.actor().clone(), command).await
}

pub(crate) async fn leave(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Leave::read(&request.body)?;
    act(&request, &command.actor().clone(), command).await
}

pub(crate) async fn walk(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Move::read(&request.body)?;
    act(&request, &command.actor().clone(), command).await
}

pub(crate) async fn say(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Say::read(&request.body, request.rules())?;
    act(&request, &command.actor().clone(), command).await
}

pub(crate) async fn message(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Say::read_message(&request.body, request.rules())?;
    act(&request, &command.actor().clone(), command).await
}

pub(crate) async fn order(request: WriteRequest) -> Result<Response, ApiError> {
    let command = Order::read(&request.body)?;
    act(&request, &command.actor().clone(), command).await
}

/// The scope of an agent's command: its room, its actor, its path.
async fn act(
    request: &WriteRequest,
    actor: &ActorInRoom,
    command: impl Command + 'static,
) -> Result<Response, ApiError> {
    let scope = [actor.room_id.as_str(), actor.actor_id.as_str(), request.path()];
    request.execute(actor.into(), &scope, command).await
}
