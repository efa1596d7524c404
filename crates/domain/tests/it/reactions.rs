//! Reactions: which events a rule answers, its actions, and how it is changed.

use agentcafe_domain::kernel::{ActorId, IdPatterns, RoomId, Sequence, StoredRecord, TenantId, Timestamp};
use agentcafe_domain::reactions::{
    ReactionAction, ReactionCounts, ReactionProgress, ReactionRule, StoredReaction,
};
use serde_json::Map;
use uuid::Uuid;

mod action;
mod change;
mod matching;
mod owners;

/// A rule by which Kai answers what is said in the room `main` of `acme`.
fn rule() -> StoredReaction {
    let at = Timestamp::from_millis(0);
    StoredReaction {
        subscription: ReactionRule {
            id: Uuid::from_u128(1),
            tenant_id: TenantId::parse("acme").unwrap(),
            room_id: Some(RoomId::main()),
            source_actor_id: None,
            target_actor_id: ActorId::parse("Kai").unwrap(),
            trigger_event_types: vec!["conversation_message_posted".to_owned()],
            action: ReactionAction::Say { text: "hello".to_owned(), ttl_ms: 7_000, mentions: None },
            enabled: true,
            cooldown_ms: 1_000,
            ignore_self: true,
            ignore_reaction_events: true,
            metadata: Map::new(),
            created_by: None,
            owner: None,
            created_at: at,
            updated_at: at,
        },
        revision: 0,
        since: Sequence::START,
        key_id: None,
        key_actors: IdPatterns::default(),
    }
}

#[test]
fn reaction_is_read_back_as_it_was_stored() {
    let stored = StoredRecord::of(&rule());
    assert_eq!(stored.read::<StoredReaction>().unwrap(), rule());
    let counts =
        ReactionCounts { trigger_count: 3, last_error: Some("why".to_owned()), ..ReactionCounts::default() };
    let progress = ReactionProgress { counts, ..ReactionProgress::none(&rule().subscription) };
    assert_eq!(StoredRecord::of(&progress).read::<ReactionProgress>().unwrap(), progress);
}
