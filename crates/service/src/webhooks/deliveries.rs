//! Lists attempts to deliver, the newest first.

use agentcafe_domain::kernel::{
    ActorId, DomainError, EXAMPLE_ID, Field, OperationError, RecordQuery, Rules, SortKey, TENANT_FILTER,
    TenantId,
};
use agentcafe_domain::webhooks::delivery::Delivery;

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::read_access;

const EVENT_ID: Field = Field::new("eventId", "Only deliveries of this event.", EXAMPLE_ID);
const SUBSCRIPTION_ID: Field =
    Field::new("subscriptionId", "Only deliveries of this subscription.", EXAMPLE_ID);
const SUCCESS: Field = Field::new("success", "Only deliveries that succeeded, or that failed.", "true");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 10_000;

/// Lists attempts to deliver.
pub struct ListDeliveries {
    tenant: Option<TenantId>,
    subscription: Option<String>,
    event: Option<String>,
    success: Option<bool>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Attempts to deliver, the newest first.
    DeliveryList { deliveries: Delivery }
}

impl Operation for ListDeliveries {
    type Output = DeliveryList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant(TENANT_FILTER)?,
            subscription: fields.trimmed_text(SUBSCRIPTION_ID)?,
            event: fields.trimmed_text(EVENT_ID)?,
            success: fields.flag(SUCCESS)?,
            viewer: read_access::viewer(fields)?,
            cursor: paging::cursor::<Delivery>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<DeliveryList, OperationError> {
        let query = RecordQuery::all::<Delivery>("delivery_seq", self.limit)
            .newest_first()
            .is_if_given("tenant_id", self.tenant.as_ref())
            .is_if_given("subscription_id", self.subscription.as_deref())
            .is_if_given("event_id", self.event.as_deref())
            .is_if_given("success", self.success)
            .behind(self.cursor);
        let (mut deliveries, next_cursor) = call.service.page::<Delivery>(query).await?;
        let room_of = |delivery: &Delivery| (delivery.tenant_id.clone(), delivery.room_id.clone());
        call.service.retain_readable(&mut deliveries, self.viewer.as_ref(), room_of).await?;
        Ok((deliveries, next_cursor).into())
    }
}
