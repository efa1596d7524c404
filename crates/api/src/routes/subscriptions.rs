//! `/v1/subscriptions`: webhooks, what was delivered to them, and what could not be.

use agentcafe_domain::{
    kernel::{
        command::Command,
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{Record, RecordQuery, SortKey},
    },
    webhooks::{
        ALL_TYPES, DeliveryProgress, Subscription, WebhookSubscription,
        change::{DeleteSubscription, UpdateSubscription},
        delivery::{Delivery, DlqEntry, DlqStatus},
        not_found,
        replay::ReplayDelivery,
        subscribe::CreateSubscription,
    },
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    app::App,
    error::ApiError,
    input::{PathId, ReadRequest, Subject, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 1_000;
const MAX_LIMIT: usize = 1_000;
const DELIVERIES_LIMIT: usize = 200;
const MAX_DELIVERIES_LIMIT: usize = 10_000;
const DLQ_LIMIT: usize = 100;
const MAX_DLQ_LIMIT: usize = 1_000;

/// The subscription with an id of the path, deleted or not; of one tenant if the request names one.
async fn stored(app: &App, id: &str, tenant: Option<&TenantId>) -> Result<Subscription, ApiError> {
    let missing = || ApiError::from(not_found("subscriptionId", id));
    let parsed = Uuid::parse_str(id).map_err(|_| missing())?;
    let found: Option<Subscription> = app.engine.store.get(Subscription::key_of(parsed)).await?;
    found.filter(|found| tenant.is_none_or(|tenant| found.tenant_id == *tenant)).ok_or_else(missing)
}

/// The tenant that a mutation by id names, in its body or else in its query.
fn tenant_of(request: &WriteRequest) -> Result<Option<TenantId>, DomainError> {
    match request.body.tenant("tenantId")? {
        Some(tenant) => Ok(Some(tenant)),
        None => request.query.tenant("tenantId"),
    }
}

pub(crate) async fn create(request: WriteRequest) -> Result<Response, ApiError> {
    let command = CreateSubscription::read(&request.body, request.rules(), request.app.engine.random())?;
    let (tenant, room, actor) = command.subject();
    let (tenant, room, actor) = (tenant.clone(), room.cloned(), actor.cloned());
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: actor.as_ref() };
    request.execute(subject, &[tenant.as_str(), "subscriptions", "create"], command).await
}

pub(crate) async fn change(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let stored = stored(&request.app, &id, tenant_of(&request)?.as_ref()).await?;
    let command = UpdateSubscription::read(stored.clone(), &request.body, request.rules());
    execute(&request, &stored, "PATCH", command).await
}

pub(crate) async fn delete(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let stored = stored(&request.app, &id, tenant_of(&request)?.as_ref()).await?;
    execute(&request, &stored, "DELETE", DeleteSubscription::new(stored.clone())).await
}

/// The scope of a mutation by id: the stored record says whose it is.
async fn execute(
    request: &WriteRequest,
    stored: &Subscription,
    method: &str,
    command: impl Command + 'static,
) -> Result<Response, ApiError> {
    let (room, actor) = (stored.room_id.as_ref(), stored.actor_id.as_ref());
    let subject = Subject { tenant: &stored.tenant_id, room, actor };
    let scope = [stored.tenant_id.as_str(), "subscriptions", method, &stored.id.to_string()];
    request.execute(subject, &scope, command).await
}

pub(crate) async fn replay(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let command = ReplayDelivery::read(id.clone(), &request.query, &request.body)?;
    let (tenant, room, actor) = command.subject();
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: actor.as_ref() };
    request.execute(subject, &[tenant.as_str(), "subscriptions", "dlq-replay", &id], command).await
}

/// The query of a read by id.
pub(crate) fn read_tenant(query: &Fields) -> Result<Option<TenantId>, DomainError> {
    query.tenant("tenantId")
}

/// One subscription.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SubscriptionResponse {
    subscription: WebhookSubscription,
}

pub(crate) async fn by_id(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let stored = stored(&request.app, &id, read_tenant(&request.query)?.as_ref()).await?;
    if stored.deleted {
        return Err(not_found("subscriptionId", id).into());
    }
    let progress: Option<DeliveryProgress> = request.app.engine.store.get(stored.key()).await?;
    let subscription = WebhookSubscription::of(stored, progress.as_ref());
    Ok(answer::found(&SubscriptionResponse { subscription }))
}

/// What a list of subscriptions is asked for.
pub(crate) struct SubscriptionsQuery {
    tenant: Option<TenantId>,
    room: Option<RoomId>,
    event_type: Option<String>,
    enabled: Option<bool>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl SubscriptionsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?,
            room: query.room("roomId")?,
            event_type: query.trimmed_text("eventType")?,
            enabled: query.flag("enabled")?,
            cursor: paging::cursor::<Subscription>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    fn wants(&self, subscription: &Subscription) -> bool {
        let matches = |name: &str| subscription.event_types.iter().any(|own| own == ALL_TYPES || own == name);
        self.event_type.as_deref().is_none_or(matches)
    }
}

/// Many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionsResponse {
    subscriptions: Vec<WebhookSubscription>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let wanted = SubscriptionsQuery::read(&request.query)?;
    let store = &request.app.engine.store;
    let find = RecordQuery::all::<Subscription>("created_at", wanted.limit)
        .newest_first()
        .is("deleted", false)
        .is_if_given("tenant_id", wanted.tenant.as_ref())
        .is_if_given("room_id", wanted.room.as_ref())
        .is_if_given("enabled", wanted.enabled)
        .behind(wanted.cursor.clone());
    let (mut page, next_cursor): (Vec<Subscription>, _) = paging::page(store, find).await?;
    page.retain(|subscription| wanted.wants(subscription));
    let progress: Vec<Option<DeliveryProgress>> =
        store.get_all(page.iter().map(Record::key).collect()).await?;
    let subscriptions: Vec<_> = page
        .into_iter()
        .zip(progress)
        .map(|(subscription, progress)| WebhookSubscription::of(subscription, progress.as_ref()))
        .collect();
    Ok(answer::found(&SubscriptionsResponse { count: subscriptions.len(), subscriptions, next_cursor }))
}

/// What a list of deliveries is asked for.
pub(crate) struct DeliveriesQuery {
    tenant: Option<TenantId>,
    subscription: Option<String>,
    event: Option<String>,
    success: Option<bool>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl DeliveriesQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?,
            subscription: query.trimmed_text("subscriptionId")?,
            event: query.trimmed_text("eventId")?,
            success: query.flag("success")?,
            viewer: read_access::viewer(query)?,
            cursor: paging::cursor::<Delivery>(query)?,
            limit: query.limit(DELIVERIES_LIMIT, MAX_DELIVERIES_LIMIT)?,
        })
    }
}

/// Attempts, the newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveriesResponse {
    deliveries: Vec<Delivery>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn deliveries(request: ReadRequest) -> Result<Response, ApiError> {
    let wanted = DeliveriesQuery::read(&request.query)?;
    let find = RecordQuery::all::<Delivery>("delivery_seq", wanted.limit)
        .newest_first()
        .is_if_given("tenant_id", wanted.tenant.as_ref())
        .is_if_given("subscription_id", wanted.subscription.as_deref())
        .is_if_given("event_id", wanted.event.as_deref())
        .is_if_given("success", wanted.success)
        .behind(wanted.cursor);
    let engine = &request.app.engine;
    let (mut deliveries, next_cursor): (Vec<Delivery>, _) = paging::page(&engine.store, find).await?;
    let place = |delivery: &Delivery| (delivery.tenant_id.clone(), delivery.room_id.clone());
    read_access::Rooms::seen_by(engine, wanted.viewer.as_ref()).retain(&mut deliveries, place).await?;
    Ok(answer::found(&DeliveriesResponse { count: deliveries.len(), deliveries, next_cursor }))
}

/// What a list of events that could not be delivered is asked for.
pub(crate) struct DlqQuery {
    tenant: Option<TenantId>,
    status: Option<DlqStatus>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl DlqQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?,
            status: query.text_choice("status", &DlqStatus::NAMES)?,
            viewer: read_access::viewer(query)?,
            cursor: paging::cursor::<DlqEntry>(query)?,
            limit: query.limit(DLQ_LIMIT, MAX_DLQ_LIMIT)?,
        })
    }
}

/// Events that could not be delivered, the newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DlqResponse {
    dlq: Vec<DlqEntry>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn dlq(request: ReadRequest) -> Result<Response, ApiError> {
    let wanted = DlqQuery::read(&request.query)?;
    let find = RecordQuery::all::<DlqEntry>("dlq_seq", wanted.limit)
        .newest_first()
        .is_if_given("tenant_id", wanted.tenant.as_ref())
        .is_if_given("status", wanted.status.map(DlqStatus::as_str))
        .behind(wanted.cursor);
    let engine = &request.app.engine;
    let (mut dlq, next_cursor): (Vec<DlqEntry>, _) = paging::page(&engine.store, find).await?;
    let place = |entry: &DlqEntry| (entry.tenant_id.clone(), entry.room_id.clone());
    read_access::Rooms::seen_by(engine, wanted.viewer.as_ref()).retain(&mut dlq, place).await?;
    Ok(answer::found(&DlqResponse { count: dlq.len(), dlq, next_cursor }))
}
