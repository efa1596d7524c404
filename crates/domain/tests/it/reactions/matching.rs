//! Matching of rules and events.

use agentcafe_domain::kernel::{ActorId, EventType, RoomId, Sequence, TenantId, Timestamp};
use agentcafe_domain::reactions::{ANY_EVENT, MatchResult, ReactionProgress, SourceEvent, StoredReaction};
use serde_json::json;
use uuid::Uuid;

use super::rule;

fn source() -> SourceEvent {
    let event = json!({
        "sequence": 7, "eventId": Uuid::from_u128(7), "tenantId": "acme", "roomId": "main", "actorId": "Nova",
        "type": "conversation_message_posted", "timestamp": "2026-01-01T00:00:00.000Z", "correlationId": "c",
        "causationId": null, "payload": { "conversation": { "messageId": "m", "threadId": "t", "text": "hi" } },
    });
    SourceEvent::read(event.to_string().as_bytes()).unwrap()
}

/// Each case changes one property of the rule or the event.
#[test]
fn reaction_matches_events_by_its_rule() {
    type Adjust = fn(&mut StoredReaction, &mut SourceEvent);
    let cases: [(Adjust, MatchResult); 16] = [
        (|_, _| (), MatchResult::Answers),
        (|_, source| source.tenant_id = TenantId::default(), MatchResult::Unconcerned),
        (|_, source| source.room_id = RoomId::parse("attic").unwrap(), MatchResult::Unconcerned),
        (
            |stored, source| {
                stored.subscription.room_id = None;
                source.room_id = RoomId::parse("attic").unwrap();
            },
            MatchResult::Answers,
        ),
        (|stored, _| stored.subscription.enabled = false, MatchResult::Unconcerned),
        (|_, source| source.kind = EventType::ActorMoved, MatchResult::Unconcerned),
        (
            |stored, source| {
                stored.subscription.trigger_event_types = vec![ANY_EVENT.to_owned()];
                source.kind = EventType::ActorMoved;
            },
            MatchResult::Answers,
        ),
        (|stored, _| stored.since = Sequence(7), MatchResult::Unconcerned),
        (|stored, _| stored.since = Sequence(6), MatchResult::Answers),
        (
            |stored, _| stored.subscription.source_actor_id = Some(ActorId::parse("Bo").unwrap()),
            MatchResult::Skips,
        ),
        (
            |stored, _| stored.subscription.source_actor_id = Some(ActorId::parse("Nova").unwrap()),
            MatchResult::Answers,
        ),
        (|_, source| source.actor_id = ActorId::parse("Kai").unwrap(), MatchResult::Skips),
        (
            |stored, source| {
                stored.subscription.ignore_self = false;
                source.actor_id = ActorId::parse("Kai").unwrap();
            },
            MatchResult::Answers,
        ),
        (|_, source| source.hops = Some(1), MatchResult::Skips),
        (
            |stored, source| {
                stored.subscription.ignore_reaction_events = false;
                source.hops = Some(3);
            },
            MatchResult::Answers,
        ),
        (
            |stored, source| {
                stored.subscription.ignore_reaction_events = false;
                source.hops = Some(4);
            },
            MatchResult::EndsChain,
        ),
    ];
    for (at, (adjust, want)) in cases.into_iter().enumerate() {
        let (mut stored, mut source) = (rule(), source());
        adjust(&mut stored, &mut source);
        let progress = ReactionProgress::none(&stored.subscription);
        assert_eq!(stored.verdict(&progress, &source, Timestamp::from_millis(10_000)), want, "case {at}");
    }
}

/// A rule answers each event once, and none during its cooldown.
#[test]
fn reaction_matches_events_by_its_progress() {
    for (reacted_to, triggered_at, cooldown_ms, want) in [
        (7, 0, 1_000, MatchResult::Unconcerned),
        (6, 9_001, 1_000, MatchResult::Skips),
        (6, 9_000, 1_000, MatchResult::Answers),
        (6, 10_000, 0, MatchResult::Answers),
    ] {
        let mut stored = rule();
        stored.subscription.cooldown_ms = cooldown_ms;
        let mut progress = ReactionProgress::none(&stored.subscription);
        let earlier = SourceEvent { sequence: Sequence(reacted_to), ..source() };
        progress.trigger(&earlier, Timestamp::from_millis(triggered_at));
        let verdict = stored.verdict(&progress, &source(), Timestamp::from_millis(10_000));
        assert_eq!(verdict, want, "{reacted_to} {triggered_at} {cooldown_ms}");
    }
}

/// The thread and the message that a reaction answers.
#[test]
fn reaction_source_event_names_its_message() {
    let read = |payload: serde_json::Value| {
        let event = json!({
            "sequence": 1, "eventId": Uuid::from_u128(1), "tenantId": "acme", "roomId": "main", "actorId": "Nova",
            "type": "mention_created", "correlationId": null, "payload": payload,
        });
        let source = SourceEvent::read(event.to_string().as_bytes()).unwrap();
        (source.thread_id, source.message_id, source.hops)
    };
    let text = |text: &str| Some(text.to_owned());
    let mention = json!({ "mentionedActorId": "Kai", "sourceMessageId": "m", "threadId": "t" });
    assert_eq!(read(mention), (text("t"), text("m"), None));
    assert_eq!(read(json!({ "threadId": null, "reaction": { "hops": 2 } })), (None, None, Some(2)));
    assert_eq!(read(json!({})), (None, None, None));
}
