//! Matching: which events a rule answers, as far as the rule and the event alone decide it.

use serde::Deserialize;
use uuid::Uuid;

use super::{ANY_EVENT, MAX_HOPS, ReactionProgress, StoredReaction};
use crate::kernel::{ActorId, CorrelationId, EventType, RoomId, Sequence, TenantId, Timestamp};

/// The members of an event that rules match.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceEvent {
    /// The event.
    pub event_id: Uuid,
    /// Its place in the log.
    pub sequence: Sequence,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor that did it.
    pub actor_id: ActorId,
    /// Its type.
    pub kind: EventType,
    /// What it shares with the other events of its request.
    pub correlation_id: Option<CorrelationId>,
    /// The thread it belongs to.
    pub thread_id: Option<String>,
    /// The message that it is, or is about.
    pub message_id: Option<String>,
    /// How many reactions led to it; none if no reaction made it.
    pub hops: Option<u32>,
}

/// The members of a stored event that make a [`SourceEvent`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent {
    sequence: Sequence,
    event_id: Uuid,
    tenant_id: TenantId,
    room_id: RoomId,
    actor_id: ActorId,
    #[serde(rename = "type")]
    kind: EventType,
    correlation_id: Option<CorrelationId>,
    payload: RawPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPayload {
    conversation: Option<RawConversation>,
    thread_id: Option<String>,
    source_message_id: Option<String>,
    reaction: Option<RawReaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawConversation {
    message_id: String,
    thread_id: String,
}

#[derive(Deserialize)]
struct RawReaction {
    hops: u32,
}

impl SourceEvent {
    /// Reads a stored event.
    ///
    /// # Errors
    /// When it is not an event as this version writes them.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let seen: RawEvent = serde_json::from_slice(json)?;
        let (thread_id, message_id) = match seen.payload.conversation {
            Some(conversation) => (Some(conversation.thread_id), Some(conversation.message_id)),
            None => (seen.payload.thread_id, seen.payload.source_message_id),
        };
        Ok(Self {
            event_id: seen.event_id,
            sequence: seen.sequence,
            tenant_id: seen.tenant_id,
            room_id: seen.room_id,
            actor_id: seen.actor_id,
            kind: seen.kind,
            correlation_id: seen.correlation_id,
            thread_id,
            message_id,
            hops: seen.payload.reaction.map(|reaction| reaction.hops),
        })
    }
}

/// The result of matching a rule with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchResult {
    /// The event does not match.
    Unconcerned,
    /// The event matches, but the rule ignores it.
    Skips,
    /// The rule would answer it, but the chain of reactions that led to it is as long as it may be.
    EndsChain,
    /// The rule answers it.
    Answers,
}

impl StoredReaction {
    /// Matches the rule with an event.
    pub fn verdict(&self, progress: &ReactionProgress, source: &SourceEvent, now: Timestamp) -> MatchResult {
        let rule = &self.subscription;
        let triggers = &rule.trigger_event_types;
        let concerned = rule.enabled
            && rule.tenant_id == source.tenant_id
            && rule.room_id.as_ref().is_none_or(|room| *room == source.room_id)
            && triggers.iter().any(|name| name == ANY_EVENT || name == source.kind.as_str())
            && source.sequence > self.since.max(progress.reacted_to);
        if !concerned {
            return MatchResult::Unconcerned;
        }
        let skips = rule.source_actor_id.as_ref().is_some_and(|actor| *actor != source.actor_id)
            || rule.ignore_self && rule.target_actor_id == source.actor_id
            || rule.ignore_reaction_events && source.hops.is_some()
            || progress.is_cooling_down(rule, now);
        match source.hops {
            _ if skips => MatchResult::Skips,
            Some(hops) if hops >= MAX_HOPS => MatchResult::EndsChain,
            _ => MatchResult::Answers,
        }
    }
}
