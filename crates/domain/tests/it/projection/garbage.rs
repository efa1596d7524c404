//! The same events give the same room, and no event makes the projection panic, however malformed it is.

use std::ops::Range;

use agentcafe_domain::projection::conversations::{MAX_THREAD_MESSAGES, MAX_THREADS};
use proptest::prelude::*;
use proptest::{collection, option, sample};
use serde_json::Map;

use super::*;

/// Keys that the projection reads, so that malformed values reach its code.
const KEYS: &str = "action bubble changedFields completedAt completedBy content contextWindow conversation data \
    direction expiresAt finalPosition itemId mentions messageId metadata objectId parentMessageId \
    position progress quantity status steps taskId text threadId to toAssigneeActorId toStatus \
    ttlMs updatedAt version x";

/// Texts that mean something somewhere, and some that mean nothing anywhere.
const TEXTS: [&str; 12] = [
    "N",
    "W",
    "idle",
    "inactive",
    "done",
    "a",
    "b",
    "",
    " ",
    "\u{0}",
    "2026-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
];

/// Numbers at the edges of what a coordinate, a count or a duration can be.
const NUMBERS: [f64; 7] = [0.5, -0.0, 2.5, 1e18, 1e300, -1e300, f64::MIN_POSITIVE];

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-60_i64..60).prop_map(Value::from),
        sample::select(&NUMBERS[..]).prop_map(Value::from),
        sample::select(&TEXTS[..]).prop_map(Value::from),
        (sample::select(&NUMBERS[..]), -30_i64..30).prop_map(|(x, y)| json!({ "x": x, "y": y })),
    ];
    scalar.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner, 0..4).prop_map(Value::from),
        ]
    })
}

fn object(
    value: impl Strategy<Value = Value>,
    size: Range<usize>,
) -> impl Strategy<Value = Map<String, Value>> {
    let keys: Vec<&str> = KEYS.split(' ').collect();
    let member = (sample::select(keys).prop_map(str::to_owned), value);
    collection::vec(member, size).prop_map(|members| members.into_iter().collect())
}

/// An object of garbage, every other time with a conversation in it.
fn payload() -> impl Strategy<Value = Value> {
    (object(value(), 0..12), option::of(object(value(), 0..12))).prop_map(|(mut payload, conversation)| {
        if let Some(conversation) = conversation {
            payload.insert("conversation".to_owned(), Value::Object(conversation));
        }
        Value::Object(payload)
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let actor = sample::select(&["Nova", "Kai", "system"][..]);
    let one = (sample::select(EventType::ALL), actor, payload(), -3_i64..3);
    collection::vec(one, 0..40).prop_map(|events| {
        let place = |(number, (kind, actor, payload, late))| {
            let mut event = numbered(number, kind, actor, payload);
            event.timestamp = event.timestamp.plus_ms(late);
            event
        };
        (1..).zip(events).map(place).collect()
    })
}

fn bytes(projection: &RoomProjection) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(&projection.snapshot()).unwrap();
    bytes.extend(serde_json::to_vec(&projection.compact()).unwrap());
    bytes.extend(serde_json::to_vec(&projection.state()).unwrap());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn projection_of_the_same_events_has_the_same_bytes(events in events()) {
        let mut projection = project(&events);
        prop_assert_eq!(bytes(&projection), bytes(&project(&events)));
        let stored = serde_json::to_vec(&events).unwrap();
        let read: Vec<Event> = serde_json::from_slice(&stored).unwrap();
        prop_assert_eq!(bytes(&projection), bytes(&project(&read)));

        let room = projection.snapshot();
        prop_assert!(room.actors.iter().all(|actor| actor.position.is_on_grid()));
        prop_assert!(room.threads.len() <= MAX_THREADS && room.local_memory.len() <= MAX_MEMORY);
        prop_assert!(room.threads.iter().all(|thread| thread.message_ids.len() <= MAX_THREAD_MESSAGES));
        prop_assert!(room.threads.is_sorted_by(|a, b| a.last_message_at >= b.last_message_at));
        prop_assert!(room.tasks.is_sorted_by(|a, b| a.updated_at >= b.updated_at));
        prop_assert!(room.shared_objects.is_sorted_by(|a, b| a.updated_at >= b.updated_at));

        // Redelivery after a crash does not panic.
        events.iter().for_each(|event| projection.apply(event));
    }

    /// A projection that was stored and restored goes on as if it had never stopped.
    #[test]
    fn projection_that_was_stored_continues(events in events(), stop in 0..40_usize) {
        let (before, after) = events.split_at(stop.min(events.len()));
        let stored = serde_json::to_vec(&project(before)).unwrap();
        let mut projection: RoomProjection = serde_json::from_slice(&stored).unwrap();
        prop_assert_eq!(serde_json::to_vec(&projection).unwrap(), stored);
        after.iter().for_each(|event| projection.apply(event));
        prop_assert_eq!(bytes(&projection), bytes(&project(&events)));
    }
}
