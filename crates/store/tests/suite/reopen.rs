//! What a store knows after it was closed and opened again: everything.

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_store::Answer;

use crate::{
    batches::whole_log,
    commands::{actor, done, envelope, says},
    keys::say_once,
    place::{BEGIN, StoreLocation},
};

/// Promise 1: heads, events, keys and records survive a restart, and numbers go on where they were.
#[tokio::test]
async fn a_reopened_store_goes_on_where_it_was() {
    let place = StoreLocation::new();
    let opened = place.open();
    let first = opened.store.submit(say_once("k", "one")).await.unwrap();
    let Answer::Done(first) = first else { panic!("{first:?}") };
    opened.store.submit(says(&actor("main", "Kai"), &["two", "three"])).await.unwrap();
    let before = whole_log(&opened.store).await;
    opened.close();
    for round in 1..4 {
        let opened = place.open();
        assert_eq!(opened.store.recent_events().head(), Sequence(2 + round));
        assert_eq!(whole_log(&opened.store).await[..3], before[..]);
        match opened.store.submit(say_once("k", "one")).await.unwrap() {
            Answer::Replayed { reply, correlation_id } => {
                assert_eq!((reply, correlation_id.as_str()), (first.clone(), "request-k-one"));
            }
            done => panic!("done again after a restart: {done:?}"),
        }
        let next: Vec<u64> = done(&opened.store.submit(says(&actor("main", "Kai"), &["more"])).await);
        assert_eq!(next, [3 + round]);
        opened.close();
    }
}

/// DESIGN 2: the places of inbox items go on as well.
#[tokio::test]
async fn inbox_places_go_on_after_a_restart() {
    use agentcafe_domain::{
        conversation::Say,
        inbox::InboxItem,
        kernel::{fields::Fields, record::RecordQuery},
    };
    let place = StoreLocation::new();
    for round in 1..4 {
        let opened = place.open();
        let body = serde_json::json!({ "actorId": "Nova", "text": "hey @Kai" });
        let say = Say::read(&Fields::of_body(body.as_object().cloned().unwrap()), &place.rules).unwrap();
        opened.store.submit(envelope(say)).await.unwrap();
        let items: Vec<InboxItem> =
            opened.store.find(RecordQuery::all::<InboxItem>("inbox_seq", 10)).await.unwrap();
        let places: Vec<u64> = items.iter().map(|item| item.inbox_seq.0).collect();
        assert_eq!(places, (1..=round).collect::<Vec<_>>());
        opened.close();
    }
}

/// Timestamps never decrease along the log (queries by time rely on it), though the clock goes back, also over a restart.
#[tokio::test]
async fn timestamps_never_decrease() {
    let place = StoreLocation::new();
    let nova = actor("main", "Nova");
    for at_ms in [5_000, 9_000, 1_000] {
        place.clock.set(BEGIN.plus_ms(at_ms));
        let opened = place.open();
        opened.store.submit(says(&nova, &["first"])).await.unwrap();
        place.clock.advance(-4_000);
        opened.store.submit(says(&nova, &["second"])).await.unwrap();
        opened.close();
    }
    place.clock.set(BEGIN.plus_ms(20_000));
    let opened = place.open();
    opened.store.submit(says(&nova, &["last"])).await.unwrap();
    let times: Vec<i64> =
        whole_log(&opened.store).await.iter().map(|event| event.timestamp.as_millis()).collect();
    let want = [5_000, 5_000, 9_000, 9_000, 9_000, 9_000, 20_000].map(|ms| BEGIN.plus_ms(ms).as_millis());
    assert_eq!(times, want);
    opened.close();
}

/// DESIGN 5, graceful stop: closing waits for all that was accepted.
#[tokio::test]
async fn closing_writes_what_was_accepted() {
    let place = StoreLocation::new();
    let opened = place.open();
    let hold = crate::commands::LeaseToken::the_writer(&opened.store).await;
    let nova = actor("main", "Nova");
    for number in 0..500 {
        let mut waiting = Box::pin(opened.store.submit(says(&nova, &[&number.to_string()])));
        let poll =
            std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context))).await;
        assert!(poll.is_pending());
    }
    hold.release().await;
    opened.close();
    let opened = place.open();
    assert_eq!(opened.store.recent_events().head(), Sequence(500));
    opened.close();
}
