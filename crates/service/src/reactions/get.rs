//! Reads one rule.

use agentcafe_domain::kernel::{DomainError, OperationError, Rules, TENANT_FILTER, TenantId};
use agentcafe_domain::reactions::manage::unknown;
use agentcafe_domain::reactions::{ReactionSubscription, StoredReaction};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, Input, Operation};
use crate::service::Service;

/// Reads one rule.
pub struct GetReaction {
    id: String,
    /// The tenant whose rule it must be; any if none is given.
    tenant: Option<TenantId>,
}

/// One rule.
#[derive(Serialize, JsonSchema)]
pub struct OneReaction {
    /// The subscription.
    subscription: ReactionSubscription,
}

impl Operation for GetReaction {
    type Output = OneReaction;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self { id: input.id.clone(), tenant: input.parameters.tenant(TENANT_FILTER)? })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneReaction, OperationError> {
        let stored = stored(call.service, Uuid::parse_str(&self.id).ok()).await?;
        let visible =
            |rule: &ReactionSubscription| self.tenant.as_ref().is_none_or(|tenant| *tenant == rule.tenant_id);
        let found = stored.map(|rule| rule.subscription).filter(visible);
        Ok(OneReaction { subscription: found.ok_or_else(|| unknown(&self.id))? })
    }
}

/// The rule with this id, if there is one.
pub(super) async fn stored(
    service: &Service,
    id: Option<Uuid>,
) -> Result<Option<StoredReaction>, OperationError> {
    match id {
        Some(id) => service.get(StoredReaction::key_of(id)).await,
        None => Ok(None),
    }
}
