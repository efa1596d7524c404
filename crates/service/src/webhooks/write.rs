//! Creates, changes and deletes subscriptions.

use agentcafe_domain::kernel::{DomainError, Fields, OperationError, Rules, TENANT_FILTER, TenantId};
use agentcafe_domain::webhooks::Subscription;
use agentcafe_domain::webhooks::change::{
    DeleteSubscription, DeleteSubscriptionResponse, UpdateSubscription,
};
use agentcafe_domain::webhooks::subscribe::{
    CreateSubscription as CreateSubscriptionCommand, WriteSubscriptionResponse,
};

use super::get::stored;
use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

/// Creates a subscription.
pub struct CreateSubscription;

impl Mutation for CreateSubscription {
    type Command = CreateSubscriptionCommand;
    type Answer = WriteSubscriptionResponse;

    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<CreateSubscriptionCommand>, OperationError> {
        let service = call.service;
        let command =
            CreateSubscriptionCommand::read(&call.input.body, service.rules(), service.engine.random())?;
        let (tenant, room, actor) = command.subject();
        let subject = Subject { tenant: tenant.clone(), room: room.cloned(), actor: actor.cloned() };
        let scope = KeyScope::post([tenant.as_str(), "subscriptions", "create"]);
        Ok(Prepared { subject, scope, command })
    }

    fn describe(input: &Input, rules: &Rules) {
        let _ = CreateSubscriptionCommand::read(&input.body, rules, [0; 32]);
    }
}

/// The tenant of a mutation by id, in its body or else beside it.
fn tenant(parameters: &Fields, body: &Fields) -> Result<Option<TenantId>, DomainError> {
    body.tenant(TENANT_FILTER)?.map_or_else(|| parameters.tenant(TENANT_FILTER), |tenant| Ok(Some(tenant)))
}

fn subject(stored: &Subscription) -> Subject {
    let (tenant, room, actor) = (stored.tenant_id.clone(), stored.room_id.clone(), stored.actor_id.clone());
    Subject { tenant, room, actor }
}

/// Changes a subscription.
pub struct ChangeSubscription(Option<TenantId>);

impl Mutation for ChangeSubscription {
    type Command = UpdateSubscription;
    type Answer = WriteSubscriptionResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        tenant(&input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateSubscription>, OperationError> {
        let stored = stored(call.service, &call.input.id, self.0.as_ref()).await?;
        let id = stored.id.to_string();
        let scope = KeyScope::patch([stored.tenant_id.as_str(), "subscriptions", "PATCH", &id]);
        let subject = subject(&stored);
        Ok(Prepared {
            subject,
            scope,
            command: UpdateSubscription::read(stored, &call.input.body, call.service.rules()),
        })
    }

    fn describe(input: &Input, _: &Rules) {
        UpdateSubscription::describe(&input.body);
    }
}

/// Deletes a subscription.
pub struct RemoveSubscription(Option<TenantId>);

impl Mutation for RemoveSubscription {
    type Command = DeleteSubscription;
    type Answer = DeleteSubscriptionResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        tenant(&input.parameters, &input.body).map(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<DeleteSubscription>, OperationError> {
        let stored = stored(call.service, &call.input.id, self.0.as_ref()).await?;
        let id = stored.id.to_string();
        let scope = KeyScope::delete([stored.tenant_id.as_str(), "subscriptions", "DELETE", &id]);
        Ok(Prepared { subject: subject(&stored), scope, command: DeleteSubscription::new(stored) })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = input.parameters.tenant(TENANT_FILTER);
    }
}
