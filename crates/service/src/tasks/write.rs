//! Creates, changes and hands over tasks.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::tasks::WriteTaskResponse;
use agentcafe_domain::tasks::change::UpdateTask as UpdateTaskCommand;
use agentcafe_domain::tasks::create::CreateTask;
use agentcafe_domain::tasks::handoff::{HandOffTask as HandOffTaskCommand, HandOffTaskResponse};
use agentcafe_domain::work::Editor;

use super::get::task;
use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

impl Mutation for CreateTask {
    type Command = Self;
    type Answer = WriteTaskResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let actor = self.actor().clone();
        let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
        let scope = KeyScope::post([ids[0], ids[1], "tasks", "create", ids[2]]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }
}

/// Changes a task.
pub struct UpdateTask(Editor);

impl Mutation for UpdateTask {
    type Command = UpdateTaskCommand;
    type Answer = WriteTaskResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Editor::read(&input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateTaskCommand>, OperationError> {
        let task = task(call.service, &self.0.tenant_id, &call.input.id).await?;
        let task_id = task.task_id.to_string();
        let command = UpdateTaskCommand::read(&call.input.body, self.0, task);
        let actor = command.actor().clone();
        let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "tasks", &task_id, "patch"];
        Ok(Prepared::by_actor(&actor, KeyScope::patch(scope), command))
    }

    fn describe(input: &Input, _: &Rules) {
        UpdateTaskCommand::describe(&input.body);
    }
}

/// Hands a task over, or says what became of it.
pub struct HandOffTask(Editor);

impl Mutation for HandOffTask {
    type Command = HandOffTaskCommand;
    type Answer = HandOffTaskResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Editor::read(&input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<HandOffTaskCommand>, OperationError> {
        let task = task(call.service, &self.0.tenant_id, &call.input.id).await?;
        let task_id = task.task_id.to_string();
        let command = HandOffTaskCommand::read(&call.input.body, self.0, task);
        let actor = command.actor().clone();
        let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "tasks", &task_id, "handoff"];
        Ok(Prepared::by_actor(&actor, KeyScope::post(scope), command))
    }

    fn describe(input: &Input, _: &Rules) {
        HandOffTaskCommand::describe(&input.body);
    }
}
