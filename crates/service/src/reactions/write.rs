//! Creates, changes and deletes rules.

use agentcafe_domain::kernel::{ActorId, DomainError, OperationError, Rules, TenantId};
use agentcafe_domain::reactions::{
    CreateReaction as CreateReactionCommand, DeleteReaction, DeleteReactionResponse, StoredReaction,
    UpdateReaction as UpdateReactionCommand, WriteReactionResponse,
};

use super::get::stored;
use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

/// Creates a rule.
pub struct CreateReaction(CreateReactionCommand);

impl Mutation for CreateReaction {
    type Command = CreateReactionCommand;
    type Answer = WriteReactionResponse;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        CreateReactionCommand::read(&input.body, rules).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<CreateReactionCommand>, OperationError> {
        let (tenant, room, actor) = self.0.subject();
        let subject = Subject { tenant: tenant.clone(), room: room.cloned(), actor: actor.cloned() };
        let scope = KeyScope::post([tenant.as_str(), "reactions", "create"]);
        Ok(Prepared { subject, scope, command: self.0 })
    }
}

/// Changes a rule.
pub struct UpdateReaction(UpdateReactionCommand);

impl Mutation for UpdateReaction {
    type Command = UpdateReactionCommand;
    type Answer = WriteReactionResponse;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        UpdateReactionCommand::read(&input.id, &input.parameters, &input.body, rules).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateReactionCommand>, OperationError> {
        let known = stored(call.service, self.0.id()).await?;
        let (tenant, requester) = self.0.subject();
        let scope = KeyScope::patch([tenant.as_str(), "reactions", "PATCH", &call.input.id]);
        let subject = subject(tenant.clone(), requester, known.as_ref());
        Ok(Prepared { subject, scope, command: self.0.expecting(known) })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = UpdateReactionCommand::describe(&input.body);
    }
}

/// Deletes a rule.
pub struct RemoveReaction(DeleteReaction);

impl Mutation for RemoveReaction {
    type Command = DeleteReaction;
    type Answer = DeleteReactionResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        DeleteReaction::read(&input.id, &input.parameters).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<DeleteReaction>, OperationError> {
        let known = stored(call.service, self.0.id()).await?;
        let (tenant, requester) = self.0.subject();
        let scope = KeyScope::delete([tenant.as_str(), "reactions", "DELETE", &call.input.id]);
        let subject = subject(tenant.clone(), requester, known.as_ref());
        Ok(Prepared { subject, scope, command: self.0.expecting(known) })
    }
}

/// The room and the actor that a trace names: those of the rule, unless the input says who asks.
fn subject(tenant: TenantId, requester: Option<&ActorId>, known: Option<&StoredReaction>) -> Subject {
    let rule = known.map(|known| &known.subscription);
    let actor = requester.or(rule.map(|rule| &rule.target_actor_id)).cloned();
    Subject { tenant, room: rule.and_then(|rule| rule.room_id.clone()), actor }
}
