//! Which events a rule answers: the checks that need nothing but the rule and the event.

use serde::Deserialize;
use uuid::Uuid;

use super::{ANY_EVENT, StoredReaction};
use crate::kernel::{
    event::EventType,
    ids::{ActorId, CorrelationId, RoomId, Sequence, TenantId},
    time::Timestamp,
};

/// What rules look at in an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The event.
    pub event_id: Uuid,
    /// Its place in the log.
    pub sequence: Sequence,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// Who did it.
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

/// The members of a stored event that make a [`Source`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    sequence: Sequence,
    event_id: Uuid,
    tenant_id: TenantId,
    room_id: RoomId,
    actor_id: ActorId,
    #[serde(rename = "type")]
    kind: EventType,
    correlation_id: Option<CorrelationId>,
    payload: SeenPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenPayload {
    conversation: Option<SeenConversation>,
    thread_id: Option<String>,
    source_message_id: Option<String>,
    reaction: Option<SeenReaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenConversation {
    message_id: String,
    thread_id: String,
}

#[derive(Deserialize)]
struct SeenReaction {
    hops: u32,
}

impl Source {
    /// Reads a stored event.
    ///
    /// # Errors
    /// When it is not an event as this version writes them.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let seen: Seen = serde_json::from_slice(json)?;
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

/// What a rule makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is no business of the rule.
    Unconcerned,
    /// The rule was made for such events, and leaves this one alone.
    Skips,
    /// The rule answers it.
    Answers,
}

impl StoredReaction {
    /// Whether the rule was triggered too short a time ago.
    pub fn rests(&self, now: Timestamp) -> bool {
        let rule = &self.subscription;
        rule.last_triggered_at.is_some_and(|at| now < at.plus_ms(rule.cooldown_ms))
    }

    /// What the rule makes of an event.
    pub fn verdict(&self, source: &Source, now: Timestamp) -> Verdict {
        let rule = &self.subscription;
        let triggers = &rule.trigger_event_types;
        let concerned = rule.enabled
            && rule.tenant_id == source.tenant_id
            && rule.room_id.as_ref().is_none_or(|room| *room == source.room_id)
            && triggers.iter().any(|name| name == ANY_EVENT || name == source.kind.as_str())
            && source.sequence > self.since;
        if !concerned {
            return Verdict::Unconcerned;
        }
        let skips = rule.source_actor_id.as_ref().is_some_and(|actor| *actor != source.actor_id)
            || rule.ignore_self && rule.target_actor_id == source.actor_id
            || rule.ignore_reaction_events && source.hops.is_some()
            || self.rests(now);
        if skips { Verdict::Skips } else { Verdict::Answers }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::rule, *};

    fn source() -> Source {
        let event = json!({
            "sequence": 7, "eventId": Uuid::from_u128(7), "tenantId": "acme", "roomId": "main", "actorId": "Nova",
            "type": "conversation_message_posted", "timestamp": "2026-01-01T00:00:00.000Z", "correlationId": "c",
            "causationId": null, "payload": { "conversation": { "messageId": "m", "threadId": "t", "text": "hi" } },
        });
        Source::read(event.to_string().as_bytes()).unwrap()
    }

    /// CONTRACT 12, check 1, and RULINGS L1: one thing at a time is another.
    #[test]
    fn rules_answer_what_they_are_for() {
        type Adjust = fn(&mut StoredReaction, &mut Source);
        let cases: [(Adjust, Verdict); 18] = [
            (|_, _| (), Verdict::Answers),
            (|_, source| source.tenant_id = TenantId::default(), Verdict::Unconcerned),
            (|_, source| source.room_id = RoomId::parse("attic").unwrap(), Verdict::Unconcerned),
            (
                |stored, source| {
                    stored.subscription.room_id = None;
                    source.room_id = RoomId::parse("attic").unwrap();
                },
                Verdict::Answers,
            ),
            (|stored, _| stored.subscription.enabled = false, Verdict::Unconcerned),
            (|_, source| source.kind = EventType::ActorMoved, Verdict::Unconcerned),
            (
                |stored, source| {
                    stored.subscription.trigger_event_types = vec![ANY_EVENT.to_owned()];
                    source.kind = EventType::ActorMoved;
                },
                Verdict::Answers,
            ),
            (|stored, _| stored.since = Sequence(7), Verdict::Unconcerned),
            (|stored, _| stored.since = Sequence(6), Verdict::Answers),
            (
                |stored, _| stored.subscription.source_actor_id = Some(ActorId::parse("Bo").unwrap()),
                Verdict::Skips,
            ),
            (
                |stored, _| stored.subscription.source_actor_id = Some(ActorId::parse("Nova").unwrap()),
                Verdict::Answers,
            ),
            (|_, source| source.actor_id = ActorId::parse("Kai").unwrap(), Verdict::Skips),
            (
                |stored, source| {
                    stored.subscription.ignore_self = false;
                    source.actor_id = ActorId::parse("Kai").unwrap();
                },
                Verdict::Answers,
            ),
            (|_, source| source.hops = Some(1), Verdict::Skips),
            (
                |stored, source| {
                    stored.subscription.ignore_reaction_events = false;
                    source.hops = Some(9);
                },
                Verdict::Answers,
            ),
            (
                |stored, _| stored.subscription.last_triggered_at = Some(Timestamp::from_millis(9_001)),
                Verdict::Skips,
            ),
            (
                |stored, _| stored.subscription.last_triggered_at = Some(Timestamp::from_millis(9_000)),
                Verdict::Answers,
            ),
            (
                |stored, _| {
                    stored.subscription.last_triggered_at = Some(Timestamp::from_millis(10_000));
                    stored.subscription.cooldown_ms = 0;
                },
                Verdict::Answers,
            ),
        ];
        for (at, (adjust, want)) in cases.into_iter().enumerate() {
            let (mut stored, mut source) = (rule(), source());
            adjust(&mut stored, &mut source);
            assert_eq!(stored.verdict(&source, Timestamp::from_millis(10_000)), want, "case {at}");
        }
    }

    /// CONTRACT 12: the thread and the message that a reaction answers.
    #[test]
    fn a_source_names_its_message() {
        let read = |payload: serde_json::Value| {
            let event = json!({
                "sequence": 1, "eventId": Uuid::from_u128(1), "tenantId": "acme", "roomId": "main", "actorId": "Nova",
                "type": "mention_created", "correlationId": null, "payload": payload,
            });
            let source = Source::read(event.to_string().as_bytes()).unwrap();
            (source.thread_id, source.message_id, source.hops)
        };
        let text = |text: &str| Some(text.to_owned());
        let mention = json!({ "mentionedActorId": "Kai", "sourceMessageId": "m", "threadId": "t" });
        assert_eq!(read(mention), (text("t"), text("m"), None));
        assert_eq!(read(json!({ "threadId": null, "reaction": { "hops": 2 } })), (None, None, Some(2)));
        assert_eq!(read(json!({})), (None, None, None));
    }
}
