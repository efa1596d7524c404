//! Creates and changes shared objects.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::objects::WriteObjectResponse;
use agentcafe_domain::objects::change::UpdateSharedObject;
use agentcafe_domain::objects::create::CreateSharedObject;
use agentcafe_domain::work::Editor;

use super::get::object;
use crate::operation::{Call, Input, KeyScope, Mutation, Prepared};

impl Mutation for CreateSharedObject {
    type Command = Self;
    type Answer = WriteObjectResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let actor = self.actor().clone();
        let ids = [actor.tenant_id.as_str(), actor.room_id.as_str(), actor.actor_id.as_str()];
        let scope = KeyScope::post([ids[0], ids[1], "objects", "create", ids[2]]);
        Ok(Prepared::by_actor(&actor, scope, self))
    }
}

/// Changes a shared object.
pub struct UpdateObject(Editor);

impl Mutation for UpdateObject {
    type Command = UpdateSharedObject;
    type Answer = WriteObjectResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Editor::read(&input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateSharedObject>, OperationError> {
        let object = object(call.service, &self.0.tenant_id, &call.input.id).await?;
        let object_id = object.object_id.to_string();
        let command = UpdateSharedObject::read(&call.input.body, self.0, object);
        let actor = command.actor().clone();
        let scope = [actor.tenant_id.as_str(), actor.room_id.as_str(), "objects", &object_id, "patch"];
        Ok(Prepared::by_actor(&actor, KeyScope::patch(scope), command))
    }

    fn describe(input: &Input, _: &Rules) {
        UpdateSharedObject::describe(&input.body);
    }
}
