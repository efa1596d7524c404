//! Events: found by their id or sequence, and read as they were written, byte for byte.

use agentcafe_domain::kernel::{Event, Sequence};
use agentcafe_eventlog::MAX_PAGE_BYTES;
use agentcafe_store::{EventFilter, EventQuery};
use serde_json::Value;
use uuid::Uuid;

use crate::commands::{NOTE_TYPES, actor, append_note, append_texts, command, done, reply};
use crate::commit_batches::all_texts;
use crate::test_store::TestStore;

/// The bytes of an event never change: memory, database and a reopened store return the same line.
#[tokio::test]
async fn event_has_the_same_bytes_in_memory_and_in_the_database() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let text = "\u{1f600} \u{2028} \u{0} \"quoted\" \\ line\nbreak \u{7f}";
    opened.store.submit(append_texts(&actor("raum ä:b", "Zoë"), &[text])).await.unwrap();
    let all = || EventQuery::after(EventFilter::default(), Sequence::START, 10);
    let from_memory = opened.store.events(all()).await.unwrap();
    let from_database = opened.store.events(EventQuery { descending: true, ..all() }).await.unwrap();
    assert_eq!(from_memory.events, from_database.events);
    let json = &from_memory.events[0].json;
    assert!(!json.contains(&b'\n') && !json.contains(&b'\r'), "an event is one line");
    let event: Event = serde_json::from_slice(json).unwrap();
    assert_eq!((event.payload["text"].as_str(), event.room_id.as_str()), (Some(text), "raum ä:b"));
    opened.close();
    let opened = test_store.open();
    assert_eq!(opened.store.events(all()).await.unwrap().events, from_memory.events);
    opened.close();
}

/// With the same bytes as in a page of the log, and at most as many as a page holds, but at least one.
#[tokio::test]
async fn events_at_returns_events_in_the_requested_order() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let long = "x".repeat(MAX_PAGE_BYTES / 2);
    for text in ["a", "b", long.as_str(), long.as_str(), "c"] {
        opened.store.submit(append_texts(&actor("main", "Nova"), &[text])).await.unwrap();
    }
    let all = EventQuery {
        max_bytes: usize::MAX,
        ..EventQuery::after(EventFilter::default(), Sequence::START, 10)
    };
    let log = opened.store.events(all).await.unwrap().events;
    let cases: [(&[u64], &[usize]); 6] = [
        (&[], &[]),
        (&[2], &[1]),
        (&[5, 1, 2], &[4, 0, 1]),
        (&[1, 9, 2], &[0, 1]),
        (&[1, 3, 4, 5], &[0, 2]),
        (&[4], &[3]),
    ];
    for (asked, want) in cases {
        let asked: Vec<_> = asked.iter().map(|at| Sequence(*at)).collect();
        let got = opened.store.events_at(asked.clone(), MAX_PAGE_BYTES).await.unwrap();
        assert_eq!(got, want.iter().map(|at| log[*at].clone()).collect::<Vec<_>>(), "{asked:?}");
    }
    opened.close();
}

/// Every event is found, at once and after a restart; another id is not.
#[tokio::test]
async fn sequence_of_finds_an_event_by_its_id() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let nova = actor("main", "Nova");
    let mut ids: Vec<Uuid> = Vec::new();
    for number in 0..20 {
        let nova = nova.clone();
        let note = command(move |ctx| {
            let event = append_note(ctx, &nova, NOTE_TYPES[number % 4], "hi", None)?;
            reply(&event.event_id)
        });
        ids.push(done(&opened.store.submit(note).await));
    }
    for (id, sequence) in ids.iter().zip(1..) {
        assert_eq!(opened.store.sequence_of(*id).await.unwrap(), Some(Sequence(sequence)));
    }
    assert_eq!(opened.store.sequence_of(Uuid::nil()).await.unwrap(), None);
    opened.close();
    let opened = test_store.open();
    assert_eq!(opened.store.sequence_of(ids[19]).await.unwrap(), Some(Sequence(20)));
    opened.close();
}

/// A large event is an event like any other.
#[tokio::test]
async fn event_of_a_megabyte_is_stored_unchanged() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let large = "x".repeat(1 << 20);
    let texts: Vec<String> = (0..12).map(|number| format!("{number}{large}")).collect();
    for text in &texts {
        opened.store.submit(append_texts(&actor("main", "Nova"), &[text])).await.unwrap();
    }
    assert_eq!(all_texts(&opened.store).await, texts);
    let newest = opened.store.events(EventQuery::newest(EventFilter::default(), 1)).await.unwrap();
    let newest: Value = serde_json::from_slice(&newest.events[0].json).unwrap();
    assert_eq!(newest["payload"]["text"], texts[11].as_str());
    opened.close();
}
