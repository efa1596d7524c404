//! Reads one subscription.

use agentcafe_domain::kernel::{DomainError, OperationError, Record, Rules, TENANT_FILTER, TenantId};
use agentcafe_domain::webhooks::{DeliveryProgress, Subscription, WebhookSubscription, not_found};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, Input, Operation};
use crate::service::Service;

/// Reads one subscription.
pub struct GetSubscription {
    id: String,
    tenant: Option<TenantId>,
}

/// One subscription.
#[derive(Serialize, JsonSchema)]
pub struct OneSubscription {
    /// The subscription.
    subscription: WebhookSubscription,
}

impl Operation for GetSubscription {
    type Output = OneSubscription;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self { id: input.id.clone(), tenant: input.parameters.tenant(TENANT_FILTER)? })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneSubscription, OperationError> {
        let stored = stored(call.service, &self.id, self.tenant.as_ref()).await?;
        if stored.deleted {
            return Err(not_found("subscriptionId", self.id).into());
        }
        let progress: Option<DeliveryProgress> = call.service.get(stored.key()).await?;
        Ok(OneSubscription { subscription: WebhookSubscription::of(stored, progress.as_ref()) })
    }
}

/// The subscription with this id, deleted or not; of one tenant if the caller names one.
pub(super) async fn stored(
    service: &Service,
    id: &str,
    tenant: Option<&TenantId>,
) -> Result<Subscription, OperationError> {
    let missing = || OperationError::from(not_found("subscriptionId", id));
    let parsed = Uuid::parse_str(id).map_err(|_| missing())?;
    let found: Option<Subscription> = service.get(Subscription::key_of(parsed)).await?;
    found.filter(|found| tenant.is_none_or(|tenant| found.tenant_id == *tenant)).ok_or_else(missing)
}
