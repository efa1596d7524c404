//! Webhooks: subscriptions to events, and the progress of their deliveries.

pub mod target;

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{
    ActorId, Code, DomainError, EventType, Key, Owner, Portable, RecordQuery, RoomId, Secret, Sequence,
    TenantId, Timestamp, record,
};
use crate::keys::Principal;
use crate::webhooks::sealing::StoredSecret;

pub mod admission;
pub mod change;
pub mod counter;
pub mod delivery;
pub mod fields;
pub mod record;
pub mod replay;
pub mod retention;
pub mod schedule;
pub mod sealing;
pub mod signing;
pub mod subscribe;

/// The name that matches every type of event.
pub const ALL_TYPES: &str = "*";
/// The most subscriptions of one owner.
pub const MAX_OWNED_SUBSCRIPTIONS: usize = 50;

/// A subscription to events and its target. Deliveries write its [`DeliveryProgress`], a record of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The subscription.
    pub id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Only of this room.
    pub room_id: Option<RoomId>,
    /// Only events of this actor.
    pub actor_id: Option<ActorId>,
    /// Who made it. None: who has no API key, or an earlier version.
    pub owner: Option<Owner>,
    /// The API key that made it or changed it last. It is disabled when that key is revoked.
    pub key_id: Option<String>,
    /// With an owner: the actor whose access to private tables the subscription has.
    pub reader: Option<ActorId>,
    /// Only of these types; `*`: all.
    pub event_types: Vec<String>,
    /// Where to, as it is shown ([`target::shown`]). What is hidden in it is in [`WebhookSecret`].
    pub target_url: String,
    /// Whether anything is sent.
    pub enabled: bool,
    /// How often a delivery that failed is tried again.
    pub max_retries: u32,
    /// The pause before the first retry; doubled before each further one.
    pub backoff_ms: u64,
    /// How long an attempt may take.
    pub timeout_ms: u64,
    /// Whatever the subscriber adds.
    pub metadata: Map<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Whether it was deleted: it is kept for what it delivered.
    pub deleted: bool,
    /// Grows with every change of any subscription, so that changes are found.
    pub revision: u64,
    /// The revision that last enabled it: its follower restarts then.
    pub enabled_by: u64,
}

impl Subscription {
    /// The key of a subscription, and of all that belongs to it.
    pub fn key_of(id: Uuid) -> Key {
        vec![id.into()]
    }

    /// The subscriptions of an owner, as many as it may have.
    pub fn of_owner(owner: &Owner) -> RecordQuery {
        RecordQuery::all::<Self>("created_at", MAX_OWNED_SUBSCRIPTIONS)
            .is("owner", owner)
            .is("deleted", false)
    }

    /// Whether it exists for the caller.
    pub fn is_visible_to(&self, principal: &Principal) -> bool {
        principal.owns(self.owner.as_ref(), &self.tenant_id, self.room_id.as_ref())
    }

    /// The actor whose access to private tables the subscription has. Without an owner, the actor that it names is believed.
    pub fn reader(&self) -> Option<&ActorId> {
        if self.owner.is_some() { self.reader.as_ref() } else { self.actor_id.as_ref() }
    }

    /// Leaves of the target what is shown of it. Returns the whole target if that is more.
    pub fn hide_target(&mut self) -> Option<Secret> {
        let shown = target::shown(&self.target_url);
        let whole = std::mem::replace(&mut self.target_url, shown);
        (whole != self.target_url).then(|| Secret::new(whole))
    }

    /// Checks that everything is there that deliveries need, if it is enabled. `stored` are its secrets.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}`: `secret` or `targetUrl`.
    fn check_complete(&self, stored: Option<&WebhookSecret>) -> Result<(), DomainError> {
        if !self.enabled {
            return Ok(());
        }
        let Some(stored) = stored else {
            let why = "the subscription was moved here without its secret: give it a new one to enable it";
            return Err(DomainError::invalid("secret", why));
        };
        if stored.target_url.is_some() { Ok(()) } else { target::check_is_whole(&self.target_url) }
    }

    /// Whether something is to be sent.
    pub fn is_active(&self) -> bool {
        self.enabled && !self.deleted
    }

    /// The types of events that are sent; none: all.
    pub fn types(&self) -> Option<Vec<EventType>> {
        let all = self.event_types.iter().any(|name| name == ALL_TYPES);
        (!all).then(|| self.event_types.iter().filter_map(|name| EventType::parse(name)).collect())
    }
}

record!(Subscription in "webhook_subscriptions": [id]
    tenant_id, room_id, enabled, deleted, created_at, revision, owner);

/// What deliveries of a subscription are signed with, and its target if that is not shown whole. It has a table of its own,
/// which no read of the API looks into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecret {
    /// The subscription.
    pub subscription_id: Uuid,
    /// The secret.
    #[serde(flatten)]
    pub secret: StoredSecret,
    /// The target; none if [`Subscription::target_url`] is all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_url: Option<StoredSecret>,
}

record!(WebhookSecret in "webhook_secrets": [subscription_id]);

/// The state of a delivery that failed and will be retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryState {
    /// The event.
    pub event_id: Uuid,
    /// How many attempts have failed.
    pub failed: u32,
    /// When the next one is due.
    pub next_attempt_at: Timestamp,
}

/// Events that are skipped because the subscription was disabled: those after the first sequence, up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRange(pub Sequence, pub Sequence);

impl SkippedRange {
    /// Whether an event falls into it.
    pub fn holds(self, event: Sequence) -> bool {
        self.0 < event && event <= self.1
    }
}

/// The most gaps that are kept for one subscription that is far behind; past it the oldest is dropped, and its events are
/// delivered.
const MAX_GAPS: usize = 32;

/// The progress of a subscription's deliveries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryProgress {
    /// The subscription.
    pub subscription_id: Uuid,
    /// Every event up to here has been processed.
    pub cursor: Sequence,
    /// The delivery under way, if it has failed before.
    pub retrying: Option<RetryState>,
    /// While it is disabled: the last event before.
    pub disabled_after: Option<Sequence>,
    /// The ranges of events in which it was disabled, as far as they are ahead of the cursor.
    pub gaps: Vec<SkippedRange>,
    /// When something last arrived.
    pub last_delivered_at: Option<Timestamp>,
    /// What the last delivery failed with, unless it arrived.
    pub last_error: Option<String>,
    /// When one of these two was last set.
    pub updated_at: Option<Timestamp>,
    /// The last attempt that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_id: Option<Uuid>,
}

impl Portable for DeliveryProgress {
    fn adapt(&mut self, head: Sequence) {
        let error = "its secret and the query of its URL stayed where it was moved from: set them".to_owned();
        *self = Self { last_error: Some(error), ..Self::at(self.subscription_id, head, false) };
    }
}

impl Portable for Subscription {
    fn adapt(&mut self, _: Sequence) {
        self.enabled = false;
        self.target_url = target::shown(&self.target_url);
    }
}

impl DeliveryProgress {
    /// Nothing delivered yet; it begins after `head`.
    pub fn at(subscription_id: Uuid, head: Sequence, enabled: bool) -> Self {
        Self {
            subscription_id,
            cursor: head,
            retrying: None,
            disabled_after: (!enabled).then_some(head),
            gaps: Vec::new(),
            last_delivered_at: None,
            last_error: None,
            updated_at: None,
            last_attempt_id: None,
        }
    }

    /// Notes that the subscription is enabled, or not, from now on. Events that are appended while it is disabled are never
    /// delivered; earlier ones still are.
    pub fn set_enabled(&mut self, enabled: bool, head: Sequence) {
        match (enabled, self.disabled_after) {
            (true, Some(since)) => {
                self.disabled_after = None;
                self.gaps.push(SkippedRange(since, head));
                let surplus = self.gaps.len().saturating_sub(MAX_GAPS);
                self.gaps.drain(..surplus);
            }
            (false, None) => self.disabled_after = Some(head),
            _ => {}
        }
    }

    /// Moves the cursor, and forgets the gaps behind it.
    pub fn advance(&mut self, cursor: Sequence) {
        self.cursor = self.cursor.max(cursor);
        self.gaps.retain(|gap| gap.1 > self.cursor);
    }

    /// Whether an event falls into a time when the subscription was disabled.
    pub fn is_skipped(&self, event: Sequence) -> bool {
        self.gaps.iter().any(|gap| gap.holds(event))
    }
}

record!(DeliveryProgress in "webhook_progress": [subscription_id]);

/// A subscription as clients see it: without its secret, but for once.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSubscription {
    /// The subscription.
    id: Uuid,
    tenant_id: TenantId,
    /// Only events of this room are sent; null: those of every room of the tenant.
    room_id: Option<RoomId>,
    /// Only events by this actor are sent; null: those of every actor.
    actor_id: Option<ActorId>,
    /// The owner, if it was made with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    /// The types of events that are sent; `*`: every type.
    event_types: Vec<String>,
    /// The URL to which events are sent. The values of its query are shown as `***`.
    target_url: String,
    /// Whether deliveries are signed.
    has_secret: bool,
    /// The secret that signs deliveries: shown by the request that sets it, then null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    secret: Option<Secret>,
    /// Whether events are sent.
    enabled: bool,
    /// How often a failed delivery is tried again.
    max_retries: u32,
    /// The pause before the first retry, in milliseconds; it doubles before each further one.
    backoff_ms: u64,
    /// How long a delivery may take, in milliseconds.
    timeout_ms: u64,
    /// Free data of the client.
    metadata: Map<String, Value>,
    /// When the subscription was made.
    created_at: Timestamp,
    /// When the subscription was last changed.
    updated_at: Timestamp,
    /// When a delivery last succeeded; null: never.
    last_delivered_at: Option<Timestamp>,
    /// The last error; null if there was none.
    last_error: Option<String>,
}

impl WebhookSubscription {
    /// How a subscription looks to clients.
    pub fn of(subscription: Subscription, progress: Option<&DeliveryProgress>) -> Self {
        let progress_at = progress.and_then(|progress| progress.updated_at);
        Self {
            id: subscription.id,
            tenant_id: subscription.tenant_id,
            room_id: subscription.room_id,
            actor_id: subscription.actor_id,
            owner: subscription.owner,
            event_types: subscription.event_types,
            target_url: target::shown(&subscription.target_url),
            has_secret: true,
            secret: None,
            enabled: subscription.enabled,
            max_retries: subscription.max_retries,
            backoff_ms: subscription.backoff_ms,
            timeout_ms: subscription.timeout_ms,
            metadata: subscription.metadata,
            created_at: subscription.created_at,
            updated_at: progress_at.map_or(subscription.updated_at, |at| at.max(subscription.updated_at)),
            last_delivered_at: progress.and_then(|progress| progress.last_delivered_at),
            last_error: progress.and_then(|progress| progress.last_error.clone()),
        }
    }

    /// The same, with its secret.
    #[must_use]
    pub fn showing(&self, secret: Secret) -> Self {
        Self { secret: Some(secret), ..self.clone() }
    }
}

/// The error for a record that does not exist, or belongs to another tenant.
pub fn not_found(field: &str, id: impl Display) -> DomainError {
    DomainError::new(Code::NotFound).with(field, id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happened while a subscription was disabled is skipped, and nothing else, also when it is behind all of it.
    #[test]
    fn only_gaps_are_skipped() {
        let mut progress = DeliveryProgress::at(Uuid::nil(), Sequence(10), true);
        for (enabled, head) in [(false, 20), (false, 25), (true, 30), (true, 35), (false, 40), (true, 50)] {
            progress.set_enabled(enabled, Sequence(head));
        }
        let skipped: Vec<u64> = (1..60).filter(|at| progress.is_skipped(Sequence(*at))).collect();
        assert_eq!(skipped, (21..=30).chain(41..=50).collect::<Vec<_>>());
        progress.advance(Sequence(30));
        assert_eq!(progress.gaps, [SkippedRange(Sequence(40), Sequence(50))]);
        for at in 0..100 {
            progress.set_enabled(false, Sequence(100 + 2 * at));
            progress.set_enabled(true, Sequence(101 + 2 * at));
        }
        assert_eq!(progress.gaps.len(), MAX_GAPS);
    }
}
