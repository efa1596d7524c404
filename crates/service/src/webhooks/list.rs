//! Lists subscriptions, the newest first.

use agentcafe_domain::kernel::{
    DomainError, Field, OperationError, ROOM_FILTER, Record, RecordQuery, RoomId, Rules, SortKey,
    TENANT_FILTER, TenantId,
};
use agentcafe_domain::webhooks::{ALL_TYPES, DeliveryProgress, Subscription, WebhookSubscription};

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};

const ENABLED: Field = Field::new("enabled", "Only subscriptions that are enabled, or are not.", "true");
const EVENT_TYPE: Field =
    Field::new("eventType", "Only subscriptions that send events of this type.", "order_changed");

const LIMIT: usize = 1_000;
const MAX_LIMIT: usize = 1_000;

/// Lists subscriptions.
pub struct ListSubscriptions {
    tenant: Option<TenantId>,
    room: Option<RoomId>,
    event_type: Option<String>,
    enabled: Option<bool>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Subscriptions, the newest first.
    SubscriptionList { subscriptions: WebhookSubscription }
}

impl Operation for ListSubscriptions {
    type Output = SubscriptionList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant(TENANT_FILTER)?,
            room: fields.room(ROOM_FILTER)?,
            event_type: fields.trimmed_text(EVENT_TYPE)?,
            enabled: fields.flag(ENABLED)?,
            cursor: paging::cursor::<Subscription>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<SubscriptionList, OperationError> {
        let Self { tenant, room, event_type, enabled, cursor, limit } = self;
        let query = RecordQuery::all::<Subscription>("created_at", limit)
            .newest_first()
            .is("deleted", false)
            .is_if_given("tenant_id", tenant.as_ref())
            .is_if_given("room_id", room.as_ref())
            .is_if_given("enabled", enabled)
            .behind(cursor);
        let (mut page, next_cursor) = call.service.page::<Subscription>(query).await?;
        page.retain(|subscription| {
            let types = &subscription.event_types;
            event_type.as_ref().is_none_or(|name| types.iter().any(|own| own == ALL_TYPES || own == name))
        });
        let keys = page.iter().map(Record::key).collect();
        let progress: Vec<Option<DeliveryProgress>> = call.service.store().get_all(keys).await?;
        let subscriptions: Vec<_> = page
            .into_iter()
            .zip(progress)
            .map(|(subscription, progress)| WebhookSubscription::of(subscription, progress.as_ref()))
            .collect();
        Ok((subscriptions, next_cursor).into())
    }
}
