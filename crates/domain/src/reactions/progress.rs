//! The progress of a rule: what reactions change, in a record of its own, so that they invalidate no cache of rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ReactionRule, SourceEvent, StoredReaction};
use crate::kernel::{CommandContext, CommandError, Query, RoomId, Sequence, TenantId, Timestamp, record};

/// How often a rule was triggered, and how its last reactions ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionCounts {
    /// How often it was triggered.
    pub trigger_count: u64,
    /// How often the target was kept from reacting, or failed to. Counted in memory for up to a second.
    pub error_count: u64,
    /// When it was last triggered.
    pub last_triggered_at: Option<Timestamp>,
    /// The event that it processed last.
    pub last_source_event_id: Option<Uuid>,
    /// Why the target did not react last time; none if it did.
    pub last_error: Option<String>,
}

/// The progress of a rule. A rule that no event has triggered has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionProgress {
    /// The rule.
    pub subscription_id: Uuid,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its room.
    pub room_id: Option<RoomId>,
    /// The last event that it reacted to. Events reach a rule in order, so this is what makes it answer each of them once,
    /// however often the log is read again.
    pub reacted_to: Sequence,
    /// What clients see.
    #[serde(flatten)]
    pub counts: ReactionCounts,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

impl ReactionProgress {
    /// That of a rule that was never triggered.
    pub fn none(rule: &ReactionRule) -> Self {
        Self {
            subscription_id: rule.id,
            tenant_id: rule.tenant_id.clone(),
            room_id: rule.room_id.clone(),
            reacted_to: Sequence::START,
            counts: ReactionCounts::default(),
            updated_at: rule.created_at,
        }
    }

    /// What reading the progress of a rule loads.
    pub fn read(rule: Uuid) -> Query {
        Query::one::<Self>(StoredReaction::key_of(rule))
    }

    /// The progress of a rule, in the room where the rule is now.
    ///
    /// # Errors
    /// [`CommandError::Load`] if it was not loaded.
    pub fn load(ctx: &CommandContext<'_>, rule: &ReactionRule) -> Result<Self, CommandError> {
        let found: Option<Self> = ctx.get(StoredReaction::key_of(rule.id))?;
        let found = found.unwrap_or_else(|| Self::none(rule));
        Ok(Self { room_id: rule.room_id.clone(), ..found })
    }

    /// Counts a reaction to an event.
    pub fn trigger(&mut self, source: &SourceEvent, now: Timestamp) {
        self.reacted_to = source.sequence;
        self.counts.trigger_count += 1;
        self.counts.last_triggered_at = Some(now);
        self.counts.last_error = None;
        self.counts.last_source_event_id = Some(source.event_id);
        self.updated_at = now;
    }

    /// Whether the rule is within its cooldown.
    pub fn is_cooling_down(&self, rule: &ReactionRule, now: Timestamp) -> bool {
        self.counts.last_triggered_at.is_some_and(|at| now < at.plus_ms(rule.cooldown_ms))
    }
}

record!(ReactionProgress in "reaction_progress": [subscription_id] tenant_id, room_id);
