//! Changing and ending a subscription.

use uuid::Uuid;

use super::admission::{self, SubscriptionSubject};
use super::counter::{self, CounterKind, WebhookCounter};
use super::fields::{ScopeChange, SubscriptionSettings};
use super::sealing::{self, OpenedSecret, SecretKeys};
use super::subscribe::WriteSubscriptionResponse;
use super::{DeliveryProgress, Subscription, WebhookSecret, WebhookSubscription, not_found, signing, target};
use crate::kernel::{
    Command, CommandContext, CommandError, DomainError, Fields, Query, Reply, Rules, Secret, Success,
    TENANT_FILTER, response,
};
use crate::keys::Principal;
use crate::work::set;

/// What a change reads of the subscription.
pub(crate) fn own_reads(id: Uuid) -> [Query; 3] {
    let key = Subscription::key_of(id);
    [
        Query::one::<Subscription>(key.clone()),
        Query::one::<DeliveryProgress>(key),
        WebhookCounter::read(CounterKind::Revisions),
    ]
}

/// What every change of a client reads.
fn reads(id: Uuid, subject: &SubscriptionSubject<'_>) -> Vec<Query> {
    let secret = Query::one::<WebhookSecret>(Subscription::key_of(id));
    own_reads(id).into_iter().chain([secret]).chain(subject.reads()).collect()
}

/// The subscription, if it was not deleted and exists for the caller.
fn existing(ctx: &CommandContext<'_>, id: Uuid, principal: &Principal) -> Result<Subscription, CommandError> {
    let found: Option<Subscription> = ctx.get(Subscription::key_of(id))?;
    let exists = |found: &Subscription| !found.deleted && found.is_visible_to(principal);
    Ok(found.filter(exists).ok_or_else(|| not_found("subscriptionId", id))?)
}

/// Notes whether a subscription is enabled from now on, and that it was changed.
///
/// # Errors
/// [`CommandError::Load`] for its progress and the counter of revisions.
pub(crate) fn put_changed(
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
    principal: Principal,
    about: Result<ScopeChange, DomainError>,
    settings: Result<SubscriptionSettings, DomainError>,
    /// What a secret is made of, if the target changes and the body brings none, and what it is encrypted with.
    random: [u8; 32],
}

impl UpdateSubscription {
    /// Reads the body of the caller's change of `stored`. `random` is what a secret is made of.
    pub fn read(
        stored: Subscription,
        fields: &Fields,
        rules: &Rules,
        principal: Principal,
        random: [u8; 32],
    ) -> Self {
        let (about, settings) =
            (ScopeChange::of_change(fields), SubscriptionSettings::of_change(fields, *rules.get()));
        Self { stored, principal, about, settings, random }
    }

    /// The subscription with the room and the actor of the change.
    fn moved(&self, mut subscription: Subscription, about: &ScopeChange) -> Subscription {
        set(&mut subscription.room_id, &about.room_id);
        if let Some(actor) = &about.actor_id {
            subscription.reader = admission::reader(&self.principal, actor.as_ref());
            subscription.actor_id.clone_from(actor);
        }
        subscription
    }

    /// Sets the target and the secret, and returns the secret if it is new: the one in the body, or a fresh one where there was
    /// none, or where the holder of an API key changes the target, so that nobody receives what is signed with the secret of
    /// another receiver. The target as it is shown stands for the one that is set.
    fn set_secrets(
        &self,
        ctx: &mut CommandContext<'_>,
        subscription: &mut Subscription,
        settings: &SubscriptionSettings,
    ) -> Result<Option<Secret>, CommandError> {
        if settings.target_url.is_none() && settings.secret.is_none() {
            return Ok(None);
        }
        let keys = ctx.rules.get::<SecretKeys>();
        let stored: Option<WebhookSecret> = ctx.get(Subscription::key_of(subscription.id))?;
        let opened = stored.map(|stored| keys.open(&stored)).transpose().map_err(sealing::corrupt)?;
        let (secret, hidden) = opened.map(|opened| (opened.secret, opened.target_url)).unzip();
        let whole = hidden.flatten().map_or_else(|| subscription.target_url.clone(), Secret::into_inner);
        let target = settings.target_url.as_ref().filter(|target| **target != subscription.target_url);
        target.map_or(Ok(()), |target| target::check_is_whole(target))?;
        let moves = target.is_some_and(|target| *target != whole);
        let needs_secret = secret.is_none() || (moves && self.principal.binding().is_some());
        let fresh = settings.secret.clone().or_else(|| needs_secret.then(|| signing::secret_of(self.random)));
        subscription.target_url = target.cloned().unwrap_or(whole);
        let target_url = subscription.hide_target();
        if let Some(secret) = fresh.clone().or(secret) {
            ctx.put(&keys.seal(subscription.id, &OpenedSecret { secret, target_url }, self.random));
        }
        Ok(fresh)
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) {
        let _ = fields.tenant(TENANT_FILTER);
        let _ = SubscriptionSettings::of_change(fields, *Rules::default().get());
        let _ = ScopeChange::of_change(fields);
    }
}

/// Sets all other fields of a change.
fn apply(subscription: &mut Subscription, settings: &SubscriptionSettings) {
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
        reads(self.stored.id, &SubscriptionSubject::of(&self.moved(self.stored.clone(), &about)))
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let found = existing(ctx, self.stored.id, &self.principal)?;
        let about = self.about.as_ref().map_err(Clone::clone)?;
        let mut subscription = self.moved(found, about);
        SubscriptionSubject::of(&subscription).check_for(
            &self.principal,
            ctx,
            "event_subscription_update",
        )?;
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        let secret = self.set_secrets(ctx, &mut subscription, settings)?;
        apply(&mut subscription, settings);
        subscription.key_id = self.principal.key_id();
        subscription.check_complete(ctx.get(Subscription::key_of(subscription.id))?.as_ref())?;
        let progress = put_changed(ctx, &mut subscription)?;
        let shown = WebhookSubscription::of(subscription, progress.as_ref());
        Ok(WriteSubscriptionResponse::reply(ctx, Success::Ok, shown, secret))
    }
}

/// `DELETE /v1/subscriptions/{id}`.
pub struct DeleteSubscription {
    stored: Subscription,
    principal: Principal,
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
    /// Ends `stored` for the caller.
    pub fn new(stored: Subscription, principal: Principal) -> Self {
        Self { stored, principal }
    }
}

impl Command for DeleteSubscription {
    fn reads(&self) -> Vec<Query> {
        reads(self.stored.id, &SubscriptionSubject::of(&self.stored))
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mut subscription = existing(ctx, self.stored.id, &self.principal)?;
        SubscriptionSubject::of(&subscription).check(ctx, "event_subscription_delete")?;
        subscription.deleted = true;
        counter::count_one_less(ctx, &subscription.tenant_id)?;
        put_changed(ctx, &mut subscription)?;
        ctx.delete::<DeliveryProgress>(Subscription::key_of(subscription.id));
        ctx.delete::<WebhookSecret>(Subscription::key_of(subscription.id));
        Ok(DeleteSubscriptionResponse::reply(ctx, Success::Ok, true, subscription.id))
    }
}
