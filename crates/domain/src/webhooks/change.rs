//! Changing and ending a subscription.

use uuid::Uuid;

use super::admission::SubscriptionSubject;
use super::counter::{self, CounterKind, WebhookCounter};
use super::fields::{ScopeChange, SubscriptionSettings};
use super::subscribe::WriteSubscriptionResponse;
use super::{DeliveryProgress, Subscription, WebhookSecret, WebhookSubscription, not_found};
use crate::kernel::{
    Command, CommandContext, CommandError, DomainError, Fields, Query, Reply, Rules, Secret, Success,
    TENANT_FILTER, response,
};
use crate::work::set;

/// What every change reads.
fn reads(id: Uuid, subject: &SubscriptionSubject<'_>) -> Vec<Query> {
    let key = Subscription::key_of(id);
    let own = [
        Query::one::<Subscription>(key.clone()),
        Query::one::<DeliveryProgress>(key.clone()),
        Query::one::<WebhookSecret>(key),
        WebhookCounter::read(CounterKind::Revisions),
    ];
    own.into_iter().chain(subject.reads()).collect()
}

/// The subscription, if it was not deleted.
fn existing(ctx: &CommandContext<'_>, id: Uuid) -> Result<Subscription, CommandError> {
    let found: Option<Subscription> = ctx.get(Subscription::key_of(id))?;
    Ok(found.filter(|found| !found.deleted).ok_or_else(|| not_found("subscriptionId", id))?)
}

/// Notes whether a subscription is enabled from now on, and that it was changed.
///
/// # Errors
/// [`CommandError::Load`] for its progress and the counter of revisions.
pub(super) fn put_changed(
    ctx: &mut CommandContext<'_>,
    subscription: &mut Subscription,
) -> Result<Option<DeliveryProgress>, CommandError> {
    subscription.updated_at = ctx.now;
    subscription.revision = counter::next_revision(ctx)?;
    let stored: Option<DeliveryProgress> = ctx.get(Subscription::key_of(subscription.id))?;
    // A subscription imported with a part of a store has no progress yet: it begins here.
    let here = || DeliveryProgress::at(subscription.id, ctx.effects.heads.sequence, false);
    let mut progress = Some(stored.unwrap_or_else(here));
    if subscription.enabled && progress.as_ref().is_some_and(|progress| progress.disabled_after.is_some()) {
        subscription.enabled_by = subscription.revision;
    }
    ctx.put(subscription);
    if let Some(progress) = &mut progress {
        progress.set_enabled(subscription.enabled, ctx.effects.heads.sequence);
        ctx.put(progress);
    }
    Ok(progress)
}

/// `PATCH /v1/subscriptions/{id}`.
pub struct UpdateSubscription {
    stored: Subscription,
    about: Result<ScopeChange, DomainError>,
    settings: Result<SubscriptionSettings, DomainError>,
}

impl UpdateSubscription {
    /// Reads the body of a change of `stored`.
    pub fn read(stored: Subscription, fields: &Fields, rules: &Rules) -> Self {
        let (about, settings) =
            (ScopeChange::of_change(fields), SubscriptionSettings::of_change(fields, *rules.get()));
        Self { stored, about, settings }
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) {
        let _ = fields.tenant(TENANT_FILTER);
        let _ = SubscriptionSettings::of_change(fields, *Rules::default().get());
        let _ = ScopeChange::of_change(fields);
    }
}

/// Sets the room and the actor of a change.
fn moved(mut subscription: Subscription, about: &ScopeChange) -> Subscription {
    set(&mut subscription.room_id, &about.room_id);
    set(&mut subscription.actor_id, &about.actor_id);
    subscription
}

/// Sets all other fields of a change; the new secret is kept elsewhere.
fn apply(subscription: &mut Subscription, settings: &SubscriptionSettings) {
    set(&mut subscription.target_url, &settings.target_url);
    set(&mut subscription.event_types, &settings.event_types);
    set(&mut subscription.enabled, &settings.enabled);
    set(&mut subscription.max_retries, &settings.max_retries);
    set(&mut subscription.backoff_ms, &settings.backoff_ms);
    set(&mut subscription.timeout_ms, &settings.timeout_ms);
    set(&mut subscription.metadata, &settings.metadata);
}

impl Command for UpdateSubscription {
    fn reads(&self) -> Vec<Query> {
        let about = self.about.clone().unwrap_or_default();
        reads(self.stored.id, &SubscriptionSubject::of(&moved(self.stored.clone(), &about)))
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let found = existing(ctx, self.stored.id)?;
        let about = self.about.as_ref().map_err(Clone::clone)?;
        let mut subscription = moved(found, about);
        SubscriptionSubject::of(&subscription).check(ctx, "event_subscription_update")?;
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        apply(&mut subscription, settings);
        let secret: Option<Secret> = settings.secret.clone();
        if let Some(secret) = &secret {
            ctx.put(&WebhookSecret { subscription_id: subscription.id, secret: secret.clone() });
        }
        if subscription.enabled && ctx.get::<WebhookSecret>(Subscription::key_of(subscription.id))?.is_none()
        {
            let why = "the subscription was moved here without its secret: give it a new one to enable it";
            return Err(DomainError::invalid("secret", why).into());
        }
        let progress = put_changed(ctx, &mut subscription)?;
        let shown = WebhookSubscription::of(subscription, progress.as_ref());
        Ok(WriteSubscriptionResponse::reply(ctx, Success::Ok, shown, secret))
    }
}

/// `DELETE /v1/subscriptions/{id}`.
pub struct DeleteSubscription {
    stored: Subscription,
}

response! {
    /// The answer to an [`DeleteSubscription`].
    DeleteSubscriptionResponse {
        /// Always true: the record existed and was deleted.
        deleted: bool,
        /// The subscription.
        subscription_id: Uuid,
    }
}

impl DeleteSubscription {
    /// Ends `stored`.
    pub fn new(stored: Subscription) -> Self {
        Self { stored }
    }
}

impl Command for DeleteSubscription {
    fn reads(&self) -> Vec<Query> {
        reads(self.stored.id, &SubscriptionSubject::of(&self.stored))
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mut subscription = existing(ctx, self.stored.id)?;
        SubscriptionSubject::of(&subscription).check(ctx, "event_subscription_delete")?;
        subscription.deleted = true;
        counter::count_one_less(ctx)?;
        put_changed(ctx, &mut subscription)?;
        ctx.delete::<DeliveryProgress>(Subscription::key_of(subscription.id));
        ctx.delete::<WebhookSecret>(Subscription::key_of(subscription.id));
        Ok(DeleteSubscriptionResponse::reply(ctx, Success::Ok, true, subscription.id))
    }
}
