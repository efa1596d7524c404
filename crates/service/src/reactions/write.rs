//! Creates, changes and deletes rules.

use agentcafe_domain::{
    kernel::{
        error::{DomainError, OperationError},
        ids::{ActorId, TenantId},
        rules::Rules,
    },
    reactions::{Change, Changed, Create, Delete, Deleted, StoredReaction},
};

use super::get::stored;
use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

/// Creates a rule.
pub struct CreateReaction(Create);

impl Mutation for CreateReaction {
    type Command = Create;
    type Answer = Changed;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Create::read(&input.body, rules).map(Self)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Create>, OperationError> {
        let (tenant, room, actor) = self.0.subject();
        let subject = Subject { tenant: tenant.clone(), room: room.cloned(), actor: actor.cloned() };
        let scope = KeyScope::post([tenant.as_str(), "reactions", "create"]);
        Ok(Prepared { subject, scope, command: self.0 })
    }
}

/// Changes a rule.
pub struct UpdateReaction(Change);

impl Mutation for UpdateReaction {
    type Command = Change;
    type Answer = Changed;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Change::read(&input.id, &input.parameters, &input.body, rules).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<Change>, OperationError> {
        let known = stored(call.service, self.0.id()).await?;
        let (tenant, requester) = self.0.subject();
        let scope = KeyScope::patch([tenant.as_str(), "reactions", "PATCH", &call.input.id]);
        let subject = subject(tenant.clone(), requester, known.as_ref());
        Ok(Prepared { subject, scope, command: self.0.expecting(known) })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = Change::describe(&input.body);
    }
}

/// Deletes a rule.
pub struct RemoveReaction(Delete);

impl Mutation for RemoveReaction {
    type Command = Delete;
    type Answer = Deleted;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Delete::read(&input.id, &input.parameters).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<Delete>, OperationError> {
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
