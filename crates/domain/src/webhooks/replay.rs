//! Replaying entries of the dead-letter queue.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::counter::{CounterKind, WebhookCounter};
use super::delivery::{DeliverySource, DlqEntry, DlqStatus, EventRef, SendResult};
use super::sealing::SecretKeys;
use super::{DeliveryProgress, Subscription, WebhookSecret, not_found, record, sealing, target};
use crate::kernel::{
    ActorId, CallRequest, Code, Command, CommandContext, CommandError, DomainError, ExternalCall, Field,
    Fields, Query, Reply, RoomId, Secret, Success, TENANT_FILTER, TenantId, response,
};
use crate::keys::Principal;
use crate::work::named;

const ROOM_ID: Field =
    Field::new("roomId", "The room in whose scope the idempotency key counts. Default: none.", "main");
const ACTOR_ID: Field =
    Field::new("actorId", "The actor that makes the request. Default: none.", "Nova").of_caller();
const FORCE: Field =
    Field::new("force", "Whether to send an event again that has been delivered. Default: false.", "true");

/// A delivery of an event from the dead-letter queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Redelivery {
    /// The subscription.
    pub subscription_id: Uuid,
    /// Where to.
    pub target_url: Secret,
    /// What it is signed with.
    pub secret: Secret,
    /// How long it may take.
    pub timeout_ms: u64,
    /// The event.
    pub sent: EventRef,
    /// The body.
    pub body: String,
}

impl CallRequest for Redelivery {
    type Response = SendResult;
}

/// `POST /v1/subscriptions/dlq/{id}/replay`.
pub struct ReplayDelivery {
    dlq_id: String,
    principal: Principal,
    tenant_id: Option<TenantId>,
    room_id: Option<RoomId>,
    actor_id: Option<ActorId>,
    force: Result<bool, DomainError>,
}

/// The result of a replay.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplayResult {
    /// Whether the delivery succeeded.
    ok: bool,
    /// The entry that was sent again.
    dlq_id: Uuid,
    /// The event that was sent.
    event_id: Uuid,
    /// The subscription.
    subscription_id: Uuid,
    /// Why the delivery failed; null if it succeeded.
    error: Option<String>,
}

response! {
    /// The answer to a [`ReplayDelivery`].
    ReplayDeliveryResponse {
        /// The result of the delivery.
        replay: ReplayResult,
    }
}

impl ReplayDelivery {
    /// Reads the path's id and the body of the caller; the tenant may also be in the query.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for an id in the body that is not valid.
    pub fn read(
        dlq_id: String,
        query: &Fields,
        fields: &Fields,
        principal: Principal,
    ) -> Result<Self, DomainError> {
        let tenant_id = match fields.tenant(TENANT_FILTER)? {
            Some(tenant) => Some(tenant),
            None => query.tenant(TENANT_FILTER)?,
        };
        Ok(Self {
            dlq_id,
            principal,
            tenant_id,
            room_id: named(fields, ROOM_ID, Fields::room)?.flatten(),
            actor_id: fields.actor(ACTOR_ID)?,
            force: fields.flag(FORCE).map(|force| force.unwrap_or(false)),
        })
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) {
        let _ = Self::read(String::new(), fields, fields, Principal::Shared);
    }

    /// The tenant, the room and the actor of the request.
    pub fn subject(&self) -> (TenantId, Option<RoomId>, Option<ActorId>) {
        let tenant = self.tenant_id.clone().unwrap_or_default();
        (tenant, self.room_id.clone(), self.actor_id.clone())
    }

    fn not_found(&self) -> DomainError {
        not_found("dlqId", &self.dlq_id)
    }

    fn entry(&self, ctx: &CommandContext<'_>) -> Result<DlqEntry, CommandError> {
        let id = Uuid::parse_str(&self.dlq_id).map_err(|_| self.not_found())?;
        let found = ctx.find::<DlqEntry>(DlqEntry::with_id(id))?.pop();
        let exists = |entry: &DlqEntry| {
            self.tenant_id.as_ref().is_none_or(|own| *own == entry.tenant_id)
                && self.principal.owns(entry.owner.as_ref(), &entry.tenant_id, Some(&entry.room_id))
        };
        Ok(found.filter(exists).ok_or_else(|| self.not_found())?)
    }

    /// What is to be sent; the subscription may be disabled, but not deleted.
    fn redelivery(&self, ctx: &CommandContext<'_>, entry: &DlqEntry) -> Result<Redelivery, CommandError> {
        let key = Subscription::key_of(entry.subscription_id);
        let subscription: Option<Subscription> = ctx.get(key.clone())?;
        let subscription = subscription.filter(|found| !found.deleted).ok_or_else(|| self.not_found())?;
        let secret: Option<WebhookSecret> = ctx.get(key)?;
        let secret = secret.ok_or_else(|| self.not_found())?;
        let opened = ctx.rules.get::<SecretKeys>().open(&secret).map_err(sealing::corrupt)?;
        if opened.target_url.is_none() {
            target::check_is_whole(&subscription.target_url)?;
        }
        Ok(Redelivery {
            subscription_id: subscription.id,
            target_url: opened.target_url.unwrap_or_else(|| Secret::new(subscription.target_url)),
            secret: opened.secret,
            timeout_ms: subscription.timeout_ms,
            sent: EventRef::from(&entry.payload),
            body: json!({ "event": entry.payload }).to_string(),
        })
    }
}

/// Records the result of a replay in the entry, as a delivery, and in the subscription's progress.
fn keep(
    ctx: &mut CommandContext<'_>,
    mut entry: DlqEntry,
    attempted: &SendResult,
) -> Result<(), CommandError> {
    let mut dead = WebhookCounter::load(ctx, CounterKind::DeadLetters)?;
    let mut deliveries = WebhookCounter::load(ctx, CounterKind::Deliveries)?;
    let (was, now) = (entry.status, ctx.now);
    let is = if attempted.error.is_none() { DlqStatus::Resolved } else { DlqStatus::Open };
    match (was, is) {
        (DlqStatus::Open, DlqStatus::Resolved) => dead.open = dead.open.saturating_sub(1),
        (DlqStatus::Resolved, DlqStatus::Open) => dead.open += 1,
        _ => {}
    }
    let how = (1, DeliverySource::DlqReplay, Some(entry.id));
    let what = EventRef::from(&entry.payload);
    let subscription = (entry.subscription_id, entry.owner.as_ref());
    record::put_delivery(ctx, &mut deliveries, subscription, (&what, attempted), how);
    ctx.put(&dead);
    ctx.put(&deliveries);
    if attempted.status_code == Some(410) {
        record::disable(ctx, entry.subscription_id)?;
    }
    let progress: Option<DeliveryProgress> = ctx.get(Subscription::key_of(entry.subscription_id))?;
    if let Some(mut progress) = progress {
        match &attempted.error {
            None => (progress.last_delivered_at, progress.last_error) = (Some(now), None),
            Some(error) => progress.last_error = Some(error.clone()),
        }
        progress.updated_at = Some(now);
        ctx.put(&progress);
    }
    entry.status = is;
    entry.replay_count += 1;
    entry.replayed_at = Some(now);
    entry.last_replay_error.clone_from(&attempted.error);
    ctx.put(&entry);
    Ok(())
}

impl Command for ReplayDelivery {
    fn reads(&self) -> Vec<Query> {
        let entry = Uuid::parse_str(&self.dlq_id).ok().map(|id| Query::Many(DlqEntry::with_id(id)));
        let counted = [CounterKind::DeadLetters, CounterKind::Deliveries, CounterKind::Revisions]
            .map(WebhookCounter::read);
        entry.into_iter().chain(counted).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let entry = self.entry(ctx)?;
        let redelivery = self.redelivery(ctx, &entry)?;
        let force = self.force.clone()?;
        if entry.status == DlqStatus::Resolved && !force {
            return Err(DomainError::new(Code::Conflict)
                .saying("it has arrived; force sends it once more")
                .with("dlqId", self.dlq_id.as_str())
                .with("status", entry.status.as_str())
                .into());
        }
        let Some(attempted) = ctx.response_to::<Redelivery>().cloned() else {
            return Err(CommandError::External(ExternalCall::new(redelivery)));
        };
        let replay = ReplayResult {
            ok: attempted.error.is_none(),
            dlq_id: entry.id,
            event_id: entry.event_id,
            subscription_id: entry.subscription_id,
            error: attempted.error.clone(),
        };
        keep(ctx, entry, &attempted)?;
        Ok(ReplayDeliveryResponse::reply(ctx, Success::Accepted, replay))
    }
}
