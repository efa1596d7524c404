//! `POST /v1/intents/execute`.

use agentcafe_domain::movement::Intent;
use axum::response::Response;

use crate::{input::Sent, problem::Problem};

pub(crate) async fn execute(sent: Sent) -> Result<Response, Problem> {
    let command = Intent::read(&sent.body)?;
    let (actor, intent) = (command.actor().clone(), command.intent().to_owned());
    let scope = [actor.room_id.as_str(), actor.actor_id.as_str(), sent.path(), &intent];
    sent.execute((&actor).into(), &scope, command).await
}
