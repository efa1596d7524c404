//! Creating a webhook subscription, which receives events from now on.

use schemars::JsonSchema;
use serde::Serialize;

use super::admission::SubscriptionSubject;
use super::counter::{self, CounterKind, WebhookCounter};
use super::fields::{ACTOR_ID, ROOM_ID, SubscriptionDefaults, SubscriptionSettings};
use super::{DeliveryProgress, Subscription, WebhookSecret, WebhookSubscription, signing};
use crate::kernel::{
    ActorId, Command, CommandContext, CommandError, CorrelationId, DomainError, Fields, Query, Reply, RoomId,
    Rules, Secret, Success, TenantId,
};

const ACTION: &str = "event_subscription_create";

/// `POST /v1/subscriptions`.
pub struct CreateSubscription {
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    actor_id: Option<ActorId>,
    settings: Result<SubscriptionSettings, DomainError>,
    /// What a secret is made of, if the body brings none.
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
    /// Reads the body. `random` is what a secret is made of.
    ///
    /// # Errors
    /// The tenant, the room or the actor is not valid.
    pub fn read(fields: &Fields, rules: &Rules, random: [u8; 32]) -> Result<Self, DomainError> {
        Ok(Self {
            tenant_id: fields.tenant_or_default()?,
            room_id: fields.room(ROOM_ID)?,
            actor_id: fields.actor(ACTOR_ID)?,
            settings: SubscriptionSettings::of_new(fields, *rules.get()),
            random,
        })
    }

    /// The owner and the scope of the subscription.
    pub fn subject(&self) -> (&TenantId, Option<&RoomId>, Option<&ActorId>) {
        (&self.tenant_id, self.room_id.as_ref(), self.actor_id.as_ref())
    }

    fn about(&self) -> SubscriptionSubject<'_> {
        let (tenant_id, room_id, actor_id) = self.subject();
        SubscriptionSubject { tenant_id, room_id, actor_id }
    }
}

impl Command for CreateSubscription {
    fn reads(&self) -> Vec<Query> {
        let mut reads = self.about().reads();
        reads.push(WebhookCounter::read(CounterKind::Revisions));
        reads
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let settings = self.settings.clone()?;
        self.about().check(ctx, ACTION)?;
        let defaults = SubscriptionDefaults::DEFAULT;
        counter::count_one_more(ctx)?;
        let revision = counter::next_revision(ctx)?;
        let subscription = Subscription {
            id: ctx.fresh_id(),
            tenant_id: self.tenant_id.clone(),
            room_id: self.room_id.clone(),
            actor_id: self.actor_id.clone(),
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
        ctx.put(&subscription);
        ctx.put(&progress);
        ctx.put(&WebhookSecret { subscription_id: subscription.id, secret: secret.clone() });
        let shown = WebhookSubscription::of(subscription, Some(&progress));
        Ok(WriteSubscriptionResponse::reply(ctx, Success::Created, shown, Some(secret)))
    }
}
