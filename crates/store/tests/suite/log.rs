//! The log: events are found by their id, and read as they were written, byte for byte.

use agentcafe_domain::kernel::{event::Event, ids::Sequence};
use agentcafe_eventlog::MAX_PAGE_BYTES;
use agentcafe_store::{EventFilter, EventQuery};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    batches::all_texts,
    commands::{NOTE_TYPES, actor, append_note, does, done, reply, says},
    place::StoreLocation,
};

/// The bytes of an event never change: memory, database and a reopened store give the same line.
#[tokio::test]
async fn an_event_is_the_same_bytes_wherever_it_is_read() {
    let place = StoreLocation::new();
    let opened = place.open();
    let text = "\u{1f600} \u{2028} \u{0} \"quoted\" \\ line\nbreak \u{7f}";
    opened.store.submit(says(&actor("raum ä:b", "Zoë"), &[text])).await.unwrap();
    let all = || EventQuery::after(EventFilter::default(), Sequence::START, 10);
    let from_memory = opened.store.events(all()).await.unwrap();
    let from_database = opened.store.events(EventQuery { descending: true, ..all() }).await.unwrap();
    assert_eq!(from_memory.events, from_database.events);
    let json = &from_memory.events[0].json;
    assert!(!json.contains(&b'\n') && !json.contains(&b'\r'), "an event is one line");
    let event: Event = serde_json::from_slice(json).unwrap();
    assert_eq!((event.payload["text"].as_str(), event.room_id.as_str()), (Some(text), "raum ä:b"));
    opened.close();
    let opened = place.open();
    assert_eq!(opened.store.events(all()).await.unwrap().events, from_memory.events);
    opened.close();
}

/// CONTRACT 25.3: the events at given places, in the order asked for, the same bytes as in a page; promise 5: a page of them
/// holds what a page holds, and one event always.
#[tokio::test]
async fn events_are_read_at_their_places() {
    let place = StoreLocation::new();
    let opened = place.open();
    let long = "x".repeat(MAX_PAGE_BYTES / 2);
    for text in ["a", "b", long.as_str(), long.as_str(), "c"] {
        opened.store.submit(says(&actor("main", "Nova"), &[text])).await.unwrap();
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
        let got = opened.store.events_at(asked.iter().map(|at| Sequence(*at)).collect()).await.unwrap();
        assert_eq!(got, want.iter().map(|at| log[*at].clone()).collect::<Vec<_>>(), "{asked:?}");
    }
    opened.close();
}

/// CONTRACT 9.3, `afterEventId`: every event is found by its id, at once and after a restart; no other id is.
#[tokio::test]
async fn an_event_is_found_by_its_id() {
    let place = StoreLocation::new();
    let opened = place.open();
    let nova = actor("main", "Nova");
    let mut ids: Vec<Uuid> = Vec::new();
    for number in 0..20 {
        let nova = nova.clone();
        let note = does(move |ctx| {
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
    let opened = place.open();
    assert_eq!(opened.store.sequence_of(ids[19]).await.unwrap(), Some(Sequence(20)));
    opened.close();
}

/// Promise 5 and 6: an event of a megabyte is an event like any other.
#[tokio::test]
async fn large_events_are_kept_whole() {
    let place = StoreLocation::new();
    let opened = place.open();
    let large = "x".repeat(1 << 20);
    let texts: Vec<String> = (0..12).map(|number| format!("{number}{large}")).collect();
    for text in &texts {
        opened.store.submit(says(&actor("main", "Nova"), &[text])).await.unwrap();
    }
    assert_eq!(all_texts(&opened.store).await, texts);
    let newest = opened.store.events(EventQuery::newest(EventFilter::default(), 1)).await.unwrap();
    let newest: Value = serde_json::from_slice(&newest.events[0].json).unwrap();
    assert_eq!(newest["payload"]["text"], texts[11].as_str());
    opened.close();
}
