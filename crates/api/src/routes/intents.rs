//! `POST /v1/intents/execute`.

use agentcafe_domain::presence::movement::ExecuteIntent;
use axum::response::Response;

use crate::{error::ApiError, input::WriteRequest};

pub(crate) async fn execute(request: WriteRequest) -> Result<Response, ApiError> {
    let command = ExecuteIntent::read(&request.body)?;
    let (actor, intent) = (command.actor().clone(), command.intent().to_owned());
    let scope = [actor.room_id.as_str(), actor.actor_id.as_str(), request.path(), &intent];
    request.execute((&actor).into(), &scope, command).await
}
