//! Attempts to deliver, and the dead-letter queue: the events that could not be delivered.

use agentcafe_domain::kernel::{
    ActorId, DomainError, EXAMPLE_ID, Field, OperationError, Record, RecordQuery, Rules, TENANT_FILTER,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::webhooks::delivery::{Delivery, DlqEntry, DlqStatus};
use agentcafe_domain::webhooks::replay::{ReplayDelivery as ReplayDeliveryCommand, ReplayDeliveryResponse};

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, parameters};
use crate::paging::{Page, PageSelector, newest_by, record_list};
use crate::read_access::{self, OfRoom};

const EVENT_ID: Field = Field::new("eventId", "Only deliveries of this event.", EXAMPLE_ID);
const STATUS: Field = Field::new("status", "Only entries in this state.", "open");
const SUBSCRIPTION_ID: Field =
    Field::new("subscriptionId", "Only deliveries of this subscription.", EXAMPLE_ID);
const SUCCESS: Field = Field::new("success", "Only deliveries that succeeded, or that failed.", "true");

const DELIVERY_LIMITS: (usize, usize) = (200, 10_000);
const DLQ_LIMITS: (usize, usize) = (100, 1_000);

record_list! {
    /// Attempts to deliver, the newest first.
    DeliveryList { deliveries: Delivery }
}

record_list! {
    /// Events that could not be delivered, the newest first.
    DlqList { dlq: DlqEntry }
}

parameters! {
    /// Lists attempts to deliver.
    ListDeliveries(fields) {
        query: RecordQuery = newest_by::<Delivery>("delivery_seq")
            .is_if_given("tenant_id", fields.tenant(TENANT_FILTER)?.as_ref())
            .is_if_given("subscription_id", fields.trimmed_text(SUBSCRIPTION_ID)?.as_deref())
            .is_if_given("event_id", fields.trimmed_text(EVENT_ID)?.as_deref())
            .is_if_given("success", fields.flag(SUCCESS)?),
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        page: PageSelector = PageSelector::read::<Delivery>(fields, DELIVERY_LIMITS)?,
    }
}

parameters! {
    /// Lists events that could not be delivered.
    ListDlq(fields) {
        query: RecordQuery = newest_by::<DlqEntry>("dlq_seq")
            .is_if_given("tenant_id", fields.tenant(TENANT_FILTER)?.as_ref())
            .is_if_given("status", fields.text_choice(STATUS, &DlqStatus::NAMES)?.map(DlqStatus::as_str)),
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        page: PageSelector = PageSelector::read::<DlqEntry>(fields, DLQ_LIMITS)?,
    }
}

/// A page of the caller's records, without those about rooms that it may not read: such a page may hold fewer than its limit.
async fn own<R: Record + OfRoom>(
    call: &Call<'_>,
    query: RecordQuery,
    viewer: Option<ActorId>,
) -> Result<Page<R>, OperationError> {
    let principal = &call.caller.principal;
    let query = query.is_if_given("owner", principal.restricted_to().as_ref());
    let mut page: Page<R> = call.service.page(query).await?;
    page.records.retain(|record| {
        let (tenant, room) = record.room();
        principal.reaches(tenant, Some(room))
    });
    call.service.retain_readable(&mut page.records, viewer.as_ref()).await?;
    Ok(page)
}

impl Operation for ListDeliveries {
    type Output = DeliveryList;

    const SCOPES: &'static [Scope] = &[Scope::Hook];

    async fn run(self, call: &Call<'_>) -> Result<DeliveryList, OperationError> {
        Ok(own(call, self.page.of(self.query), self.viewer).await?.into())
    }
}

impl Operation for ListDlq {
    type Output = DlqList;

    const SCOPES: &'static [Scope] = &[Scope::Hook];

    async fn run(self, call: &Call<'_>) -> Result<DlqList, OperationError> {
        Ok(own(call, self.page.of(self.query), self.viewer).await?.into())
    }
}

/// Sends an event from the dead-letter queue again.
pub struct ReplayDelivery;

impl FromInput for ReplayDelivery {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        ReplayDeliveryCommand::describe(&input.body);
    }
}

impl Mutation for ReplayDelivery {
    type Command = ReplayDeliveryCommand;
    type Answer = ReplayDeliveryResponse;

    const SCOPES: &'static [Scope] = &[Scope::Hook];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<ReplayDeliveryCommand>, OperationError> {
        let (input, principal) = (call.input, call.caller.principal.clone());
        let command =
            ReplayDeliveryCommand::read(input.id.clone(), &input.parameters, &input.body, principal)?;
        let (tenant, room, actor) = command.subject();
        let parts = [tenant.as_str(), "subscriptions", "dlq-replay", &input.id];
        let scope = KeyScope::post((&tenant, room.as_ref(), actor.as_ref()), parts);
        Ok(Prepared { scope, command })
    }
}
