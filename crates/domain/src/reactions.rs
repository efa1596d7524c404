//! Reactions: rules by which one actor answers events. A rule is a subscription to events, and an action.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{
    ActorId, IdPatterns, Key, Owner, RecordQuery, RequestAuthor, RoomId, Sequence, TenantId, Timestamp,
    record,
};
use crate::keys::Principal;

pub mod action;
pub mod counter;
mod draft;
pub mod manage;
pub mod matching;
pub mod progress;
pub mod react;

pub use action::ReactionAction;
pub use manage::{
    CreateReaction, DeleteReaction, DeleteReactionResponse, UpdateReaction, WriteReactionResponse,
};
pub use matching::{MatchResult, SourceEvent};
pub use progress::{ReactionCounts, ReactionProgress};
pub use react::{ReactionOutcome, RecordRefusals, RuleRefusals, RunReaction, last_error};

/// The trigger that matches every type of event.
pub const ANY_EVENT: &str = "*";
/// The most subscriptions of a tenant: each event in it is matched with all of them.
pub const MAX_SUBSCRIPTIONS: usize = 1_000;
/// The most subscriptions of one owner.
pub const MAX_OWNED_SUBSCRIPTIONS: usize = 20;
/// The most reactions in a row, each answering the one before. Past it the chain ends.
pub const MAX_HOPS: u32 = 4;

/// The member that the payload of every event of a reaction gets: a [`ReactionRef`].
pub const ANNOTATION: &str = "reaction";

/// Which reaction made an actor act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionRef {
    /// The subscription that fired.
    pub source_subscription_id: Uuid,
    /// The event that made it fire.
    pub source_event_id: Uuid,
    /// How many reactions lie between this one and something that an actor did itself.
    pub hops: u32,
}

/// A reaction subscription, as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionSubscription {
    /// The rule; its `updatedAt` is also changed by being triggered.
    #[serde(flatten)]
    pub rule: ReactionRule,
    /// How often it was triggered.
    #[serde(flatten)]
    pub counts: ReactionCounts,
}

impl ReactionSubscription {
    /// How a rule looks to clients.
    pub fn new(mut rule: ReactionRule, progress: Option<ReactionProgress>) -> Self {
        let Some(progress) = progress else { return Self { rule, counts: ReactionCounts::default() } };
        rule.updated_at = rule.updated_at.max(progress.updated_at);
        Self { rule, counts: progress.counts }
    }
}

/// What a client declares about a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionRule {
    /// The subscription.
    pub id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room whose events trigger it; none: all rooms of the tenant.
    pub room_id: Option<RoomId>,
    /// Only what this actor does.
    pub source_actor_id: Option<ActorId>,
    /// The actor that reacts.
    pub target_actor_id: ActorId,
    /// Which types of events pull it; `*` is every type.
    pub trigger_event_types: Vec<String>,
    /// What the target does.
    #[serde(flatten)]
    pub action: ReactionAction,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The cooldown after it was triggered, in milliseconds.
    pub cooldown_ms: i64,
    /// Whether it ignores events of the target itself.
    pub ignore_self: bool,
    /// Whether it ignores events that reactions made.
    pub ignore_reaction_events: bool,
    /// Whatever the maker adds.
    pub metadata: Map<String, Value>,
    /// The actor that made it, as the request said.
    pub created_by: Option<ActorId>,
    /// The owner, if it was made with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, by a client or by being triggered.
    pub updated_at: Timestamp,
}

/// A rule, and its internal state. Reactions write its [`ReactionProgress`], a record of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredReaction {
    /// What clients see.
    pub subscription: ReactionRule,
    /// Counts the changes that clients made, so that a command with an old copy of the rule detects it.
    pub revision: u64,
    /// The rule ignores events up to here: they are older than it, or were appended while it was disabled.
    pub since: Sequence,
    /// The API key that made it or changed it last. It is disabled when that key is revoked.
    pub key_id: Option<String>,
    /// The actors that the holder of that key may be.
    #[serde(default)]
    pub key_actors: IdPatterns,
}

impl StoredReaction {
    /// The key of a subscription.
    pub fn key_of(id: Uuid) -> Key {
        vec![id.into()]
    }

    /// By whose key its reactions come about; none without a key.
    pub fn author(&self) -> Option<RequestAuthor> {
        let key_id = self.key_id.as_deref()?.into();
        Some(RequestAuthor { key_id, actors: Arc::new(self.key_actors.clone()) })
    }

    /// The rules of a tenant, as many as it may have.
    pub fn of_tenant(tenant: &TenantId) -> RecordQuery {
        RecordQuery::all::<Self>("created_at", MAX_SUBSCRIPTIONS).is("tenant_id", tenant)
    }

    /// The rules of an owner, as many as it may have.
    pub fn of_owner(owner: &Owner) -> RecordQuery {
        RecordQuery::all::<Self>("created_at", MAX_OWNED_SUBSCRIPTIONS).is("owner", owner)
    }

    /// Whether it exists for the caller.
    pub fn is_visible_to(&self, principal: &Principal) -> bool {
        let rule = &self.subscription;
        principal.owns(rule.owner.as_ref(), &rule.tenant_id, rule.room_id.as_ref())
    }

    /// The enabled rules of a tenant, the oldest first.
    pub fn at_work(tenant: &TenantId) -> RecordQuery {
        Self::of_tenant(tenant).is("enabled", true)
    }

    /// One enabled rule of any tenant, if there is one.
    pub fn any_at_work() -> RecordQuery {
        RecordQuery::all::<Self>("tenant_id", 1).is("enabled", true)
    }
}

record!(StoredReaction in "reaction_subscriptions" as stored: [subscription_id = &stored.subscription.id]
    tenant_id = &stored.subscription.tenant_id,
    room_id = &stored.subscription.room_id,
    source_actor_id = &stored.subscription.source_actor_id,
    target_actor_id = &stored.subscription.target_actor_id,
    enabled = stored.subscription.enabled,
    created_at = stored.subscription.created_at,
    owner = &stored.subscription.owner);
