//! Webhooks: subscriptions, attempts to deliver, and the dead-letter queue.

use agentcafe_domain::kernel::{
    DomainError, Field, Fields, OperationError, ROOM_FILTER, Record, RecordQuery, Rules, TENANT_FILTER,
    TenantId,
};
use agentcafe_domain::keys::{Principal, Scope};
use agentcafe_domain::webhooks::change::{
    DeleteSubscription, DeleteSubscriptionResponse, UpdateSubscription,
};
use agentcafe_domain::webhooks::subscribe::{
    CreateSubscription as CreateSubscriptionCommand, WriteSubscriptionResponse,
};
use agentcafe_domain::webhooks::{ALL_TYPES, DeliveryProgress, Subscription, WebhookSubscription, not_found};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, parameters};
use crate::paging::{Page, PageSelector, newest_by, record_list};

mod deliveries;

pub use deliveries::{DeliveryList, DlqList, ListDeliveries, ListDlq, ReplayDelivery};

const ENABLED: Field = Field::new("enabled", "Only subscriptions that are enabled, or are not.", "true");
const EVENT_TYPE: Field =
    Field::new("eventType", "Only subscriptions that send events of this type.", "order_changed");

const LIMITS: (usize, usize) = (1_000, 1_000);

parameters! {
    /// Lists subscriptions, the newest first.
    ListSubscriptions(fields) {
        query: RecordQuery = newest_by::<Subscription>("created_at")
            .is("deleted", false)
            .is_if_given("tenant_id", fields.tenant(TENANT_FILTER)?.as_ref())
            .is_if_given("room_id", fields.room(ROOM_FILTER)?.as_ref()),
        event_type: Option<String> = fields.trimmed_text(EVENT_TYPE)?,
        enabled: Option<bool> = fields.flag(ENABLED)?,
        page: PageSelector = PageSelector::read::<Subscription>(fields, LIMITS)?,
    }
}

record_list! {
    /// Subscriptions, the newest first.
    SubscriptionList { subscriptions: WebhookSubscription }
}

impl Operation for ListSubscriptions {
    type Output = SubscriptionList;

    const SCOPES: &'static [Scope] = &[Scope::Hook];

    async fn run(self, call: &Call<'_>) -> Result<SubscriptionList, OperationError> {
        let owner = call.caller.principal.restricted_to();
        let query = self.query.is_if_given("enabled", self.enabled).is_if_given("owner", owner.as_ref());
        let query = self.page.of(query);
        let Page { mut records, next_cursor } = call.service.page::<Subscription>(query).await?;
        records.retain(|subscription| {
            let types = &subscription.event_types;
            self.event_type
                .as_ref()
                .is_none_or(|name| types.iter().any(|own| own == ALL_TYPES || own == name))
        });
        let keys = records.iter().map(Record::key).collect();
        let progress: Vec<Option<DeliveryProgress>> = call.service.store().get_all(keys).await?;
        let page = Page { records: records.into_iter().zip(progress).collect(), next_cursor };
        Ok(page.map(|(record, progress)| WebhookSubscription::of(record, progress.as_ref())).into())
    }
}

parameters! {
    /// Reads one subscription.
    GetSubscription(fields, input) {
        id: String = input.id.clone(),
        tenant: Option<TenantId> = fields.tenant(TENANT_FILTER)?,
    }
}

/// One subscription.
#[derive(Serialize, JsonSchema)]
pub struct OneSubscription {
    /// The subscription.
    subscription: WebhookSubscription,
}

impl Operation for GetSubscription {
    type Output = OneSubscription;

    const SCOPES: &'static [Scope] = &[Scope::Hook];

    async fn run(self, call: &Call<'_>) -> Result<OneSubscription, OperationError> {
        let stored = stored(call, &self.id, self.tenant.as_ref()).await?;
        if stored.deleted {
            return Err(not_found("subscriptionId", self.id).into());
        }
        let progress: Option<DeliveryProgress> = call.service.get(stored.key()).await?;
        Ok(OneSubscription { subscription: WebhookSubscription::of(stored, progress.as_ref()) })
    }
}

/// The caller's subscription with this id, deleted or not; of one tenant if the caller names one.
async fn stored(
    call: &Call<'_>,
    id: &str,
    tenant: Option<&TenantId>,
) -> Result<Subscription, OperationError> {
    let found: Option<Subscription> = call.service.by_id(id, Subscription::key_of).await?;
    let exists = |found: &Subscription| {
        tenant.is_none_or(|tenant| found.tenant_id == *tenant) && found.is_visible_to(&call.caller.principal)
    };
    found.filter(exists).ok_or_else(|| not_found("subscriptionId", id).into())
}

/// Creates a subscription.
pub struct CreateSubscription;

impl FromInput for CreateSubscription {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    fn describe(input: &Input, rules: &Rules) {
        let _ = CreateSubscriptionCommand::read(&input.body, rules, Principal::Shared, [0; 32]);
    }
}

impl Mutation for CreateSubscription {
    type Command = CreateSubscriptionCommand;
    type Answer = WriteSubscriptionResponse;

    const SCOPES: &'static [Scope] = &[Scope::Hook, Scope::Listen];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<CreateSubscriptionCommand>, OperationError> {
        let (body, service) = (&call.input.body, call.service);
        let principal = call.caller.principal.clone();
        let random = service.engine.random();
        let command = CreateSubscriptionCommand::read(body, service.rules(), principal, random)?;
        let (tenant, ..) = command.subject();
        let scope = KeyScope::post(command.subject(), [tenant.as_str(), "subscriptions", "create"]);
        Ok(Prepared { scope, command })
    }
}

/// The tenant of a mutation by id, in its body or else beside it.
fn tenant(parameters: &Fields, body: &Fields) -> Result<Option<TenantId>, DomainError> {
    body.tenant(TENANT_FILTER)?.map_or_else(|| parameters.tenant(TENANT_FILTER), |tenant| Ok(Some(tenant)))
}

/// Declares a mutation of the subscription that the path names: what its caller's key must
/// allow, how its command is made and described, and its key's verb.
macro_rules! subscription_mutation {
    ($(#[$doc:meta])* $name:ident, $command:ty, $answer:ty, $scopes:expr, $make:expr, $describe:expr, $verb:ident, $verb_part:literal) => {
        $(#[$doc])*
        pub struct $name(Option<TenantId>);

        impl FromInput for $name {
            fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
                tenant(&input.parameters, &input.body).map(Self)
            }

            fn describe(input: &Input, _: &Rules) {
                let describe: fn(&Input) = $describe;
                describe(input);
            }
        }

        impl Mutation for $name {
            type Command = $command;
            type Answer = $answer;

            const SCOPES: &'static [Scope] = $scopes;

            async fn prepare(self, call: &Call<'_>) -> Result<Prepared<$command>, OperationError> {
                let stored = stored(call, &call.input.id, self.0.as_ref()).await?;
                let subject = (&stored.tenant_id, stored.room_id.as_ref(), stored.actor_id.as_ref());
                let parts = [stored.tenant_id.as_str(), "subscriptions", $verb_part, &stored.id.to_string()];
                let scope = KeyScope::$verb(subject, parts);
                let make: fn(Subscription, Principal, &Call<'_>) -> $command = $make;
                Ok(Prepared { scope, command: make(stored, call.caller.principal.clone(), call) })
            }
        }
    };
}

subscription_mutation! {
    /// Changes a subscription.
    ChangeSubscription, UpdateSubscription, WriteSubscriptionResponse, &[Scope::Hook, Scope::Listen],
    |stored, principal, call| {
        let (body, service) = (&call.input.body, call.service);
        UpdateSubscription::read(stored, body, service.rules(), principal, service.engine.random())
    },
    |input| UpdateSubscription::describe(&input.body),
    patch, "PATCH"
}

subscription_mutation! {
    /// Deletes a subscription.
    RemoveSubscription, DeleteSubscription, DeleteSubscriptionResponse, &[Scope::Hook],
    |stored, principal, _| DeleteSubscription::new(stored, principal), |input| drop(input.parameters.tenant(TENANT_FILTER)),
    delete, "DELETE"
}
