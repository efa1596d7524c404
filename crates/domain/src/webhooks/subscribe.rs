//! Creating a webhook subscription, which receives events from now on.

use schemars::JsonSchema;
use serde::Serialize;

use super::admission::{self, SubscriptionSubject};
use super::counter::{self, CounterKind, WebhookCounter};
use super::fields::{ACTOR_ID, ROOM_ID, SubscriptionDefaults, SubscriptionSettings};
use super::sealing::{OpenedSecret, SecretKeys};
use super::{DeliveryProgress, MAX_OWNED_SUBSCRIPTIONS, Subscription, WebhookSubscription, signing, target};
use crate::kernel::{
    ActorId, Command, CommandContext, CommandError, CorrelationId, DomainError, Fields, Query, RecordQuery,
    Reply, RoomId, Rules, Secret, Success, TenantId,
};
use crate::keys::Principal;

const ACTION: &str = "event_subscription_create";

/// `POST /v1/subscriptions`.
pub struct CreateSubscription {
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    actor_id: Option<ActorId>,
    principal: Principal,
    settings: Result<SubscriptionSettings, DomainError>,
    /// What a secret is made of, if the body brings none, and what it is encrypted with.
    random: [u8; 32],
}

/// The answer to a change of a subscription.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteSubscriptionResponse {
    /// The subscription.
    subscription: WebhookSubscription,
    correlation_id: CorrelationId,
}

impl WriteSubscriptionResponse {
    /// The reply, which shows a secret that was just set, but does not when it is repeated.
    pub(super) fn reply(
        ctx: &CommandContext<'_>,
        success: Success,
        subscription: WebhookSubscription,
        secret: Option<Secret>,
    ) -> Reply {
        let correlation_id = ctx.correlation_id.clone();
        let kept = Self { subscription, correlation_id };
        let Some(secret) = secret else { return Reply::new(success, &kept) };
        let shown = Self {
            subscription: kept.subscription.showing(secret),
            correlation_id: kept.correlation_id.clone(),
        };
        Reply::shown_once(success, &shown, &kept)
    }
}

impl CreateSubscription {
    /// Reads the body of the caller. `random` is what a secret is made of.
    ///
    /// # Errors
    /// The tenant, the room or the actor is not valid.
    pub fn read(
        fields: &Fields,
        rules: &Rules,
        principal: Principal,
        random: [u8; 32],
    ) -> Result<Self, DomainError> {
        Ok(Self {
            tenant_id: fields.tenant_or_default()?,
            room_id: fields.room(ROOM_ID)?,
            actor_id: fields.actor(ACTOR_ID)?,
            principal,
            settings: SubscriptionSettings::of_new(fields, *rules.get()),
            random,
        })
    }

    /// The owner and the scope of the subscription.
    pub fn subject(&self) -> (&TenantId, Option<&RoomId>, Option<&ActorId>) {
        (&self.tenant_id, self.room_id.as_ref(), self.actor_id.as_ref())
    }

    fn reader(&self) -> Option<ActorId> {
        admission::reader(&self.principal, self.actor_id.as_ref())
    }

    fn about<'a>(&'a self, reader: Option<&'a ActorId>) -> SubscriptionSubject<'a> {
        SubscriptionSubject { tenant_id: &self.tenant_id, room_id: self.room_id.as_ref(), reader }
    }

    /// The subscriptions that the caller has already; none if their number is not limited.
    fn owned(&self) -> Option<RecordQuery> {
        self.principal.owner().map(|owner| Subscription::of_owner(&owner).is("tenant_id", &self.tenant_id))
    }

    /// Counts one more of the store, the tenant and the owner.
    fn count(&self, ctx: &mut CommandContext<'_>) -> Result<(), CommandError> {
        let owned = match self.owned() {
            Some(owned) => ctx.find::<Subscription>(owned)?.len(),
            None => 0,
        };
        if owned >= MAX_OWNED_SUBSCRIPTIONS {
            let message = format!(
                "an owner has at most {MAX_OWNED_SUBSCRIPTIONS} webhook subscriptions; delete one first"
            );
            let error = DomainError::out_of_bounds("subscriptions", message, owned + 1);
            return Err(error.with("max", MAX_OWNED_SUBSCRIPTIONS).into());
        }
        counter::count_one_more(ctx, &self.tenant_id)
    }
}

impl Command for CreateSubscription {
    fn reads(&self) -> Vec<Query> {
        let mut reads = self.about(self.reader().as_ref()).reads();
        reads.push(WebhookCounter::read(CounterKind::Revisions));
        reads.extend(self.owned().map(Query::Many));
        reads
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let settings = self.settings.clone()?;
        let reader = self.reader();
        self.about(reader.as_ref()).check_for(&self.principal, ctx, ACTION)?;
        let defaults = SubscriptionDefaults::DEFAULT;
        self.count(ctx)?;
        let revision = counter::next_revision(ctx)?;
        let mut subscription = Subscription {
            id: ctx.fresh_id(),
            tenant_id: self.tenant_id.clone(),
            room_id: self.room_id.clone(),
            actor_id: self.actor_id.clone(),
            owner: self.principal.owner(),
            key_id: self.principal.key_id(),
            reader,
            event_types: settings.event_types.unwrap_or_default(),
            target_url: settings.target_url.unwrap_or_default(),
            enabled: settings.enabled.unwrap_or(true),
            max_retries: settings.max_retries.unwrap_or(defaults.max_retries),
            backoff_ms: settings.backoff_ms.unwrap_or(defaults.backoff_ms),
            timeout_ms: settings.timeout_ms.unwrap_or(defaults.timeout_ms),
            metadata: settings.metadata.unwrap_or_default(),
            created_at: ctx.now,
            updated_at: ctx.now,
            deleted: false,
            revision,
            enabled_by: revision,
        };
        let secret = settings.secret.unwrap_or_else(|| signing::secret_of(self.random));
        let progress =
            DeliveryProgress::at(subscription.id, ctx.effects.heads.sequence, subscription.enabled);
        target::check_is_whole(&subscription.target_url)?;
        let opened = OpenedSecret { secret: secret.clone(), target_url: subscription.hide_target() };
        let sealed = ctx.rules.get::<SecretKeys>().seal(subscription.id, &opened, self.random);
        ctx.put(&subscription);
        ctx.put(&progress);
        ctx.put(&sealed);
        let shown = WebhookSubscription::of(subscription, Some(&progress));
        Ok(WriteSubscriptionResponse::reply(ctx, Success::Created, shown, Some(secret)))
    }
}
