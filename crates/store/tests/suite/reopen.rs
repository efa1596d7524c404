//! A store that is closed and opened again continues where it was.

use agentcafe_domain::kernel::Sequence;
use agentcafe_store::Answer;

use crate::commands::{actor, append_texts, done, envelope};
use crate::commit_batches::whole_log;
use crate::idempotency_keys::say_with_key;
use crate::test_store::{BEGIN, TestStore};

/// Heads, events, keys and records survive a restart, and numbers continue.
#[tokio::test]
async fn reopened_store_continues_its_numbers_and_keys() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let first = opened.store.submit(say_with_key("k", "one")).await.unwrap();
    let Answer::Done(first) = first else { panic!("{first:?}") };
    opened.store.submit(append_texts(&actor("main", "Kai"), &["two", "three"])).await.unwrap();
    let before = whole_log(&opened.store).await;
    opened.close();
    for round in 1..4 {
        let opened = test_store.open();
        assert_eq!(opened.store.recent_events().head(), Sequence(2 + round));
        assert_eq!(whole_log(&opened.store).await[..3], before[..]);
        match opened.store.submit(say_with_key("k", "one")).await.unwrap() {
            Answer::Replayed { reply, correlation_id } => {
                assert_eq!((reply, correlation_id.as_str()), (first.clone(), "request-k-one"));
            }
            done => panic!("took effect again after a restart: {done:?}"),
        }
        let next: Vec<u64> = done(&opened.store.submit(append_texts(&actor("main", "Kai"), &["more"])).await);
        assert_eq!(next, [3 + round]);
        opened.close();
    }
}

/// The sequences of inbox items continue, too.
#[tokio::test]
async fn reopened_store_continues_inbox_sequences() {
    use agentcafe_domain::conversation::Say;
    use agentcafe_domain::inbox::InboxItem;
    use agentcafe_domain::kernel::{Fields, RecordQuery};
    let test_store = TestStore::new();
    for round in 1..4 {
        let opened = test_store.open();
        let body = serde_json::json!({ "actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"] });
        let say = Say::read(&Fields::of_body(body.as_object().cloned().unwrap()), &test_store.rules).unwrap();
        opened.store.submit(envelope(say)).await.unwrap();
        let items: Vec<InboxItem> =
            opened.store.find(RecordQuery::all::<InboxItem>("inbox_seq", 10)).await.unwrap();
        let sequences: Vec<u64> = items.iter().map(|item| item.inbox_seq.0).collect();
        assert_eq!(sequences, (1..=round).collect::<Vec<_>>());
        opened.close();
    }
}

/// Queries by time rely on it, although the clock goes back, also over a restart.
#[tokio::test]
async fn timestamps_never_decrease() {
    let test_store = TestStore::new();
    let nova = actor("main", "Nova");
    for at_ms in [5_000, 9_000, 1_000] {
        test_store.clock.set(BEGIN.plus_ms(at_ms));
        let opened = test_store.open();
        opened.store.submit(append_texts(&nova, &["first"])).await.unwrap();
        test_store.clock.advance(-4_000);
        opened.store.submit(append_texts(&nova, &["second"])).await.unwrap();
        opened.close();
    }
    test_store.clock.set(BEGIN.plus_ms(20_000));
    let opened = test_store.open();
    opened.store.submit(append_texts(&nova, &["last"])).await.unwrap();
    let times: Vec<i64> =
        whole_log(&opened.store).await.iter().map(|event| event.timestamp.as_millis()).collect();
    let want = [5_000, 5_000, 9_000, 9_000, 9_000, 9_000, 20_000].map(|ms| BEGIN.plus_ms(ms).as_millis());
    assert_eq!(times, want);
    opened.close();
}

/// Closing waits until all queued commands are committed.
#[tokio::test]
async fn closing_commits_all_queued_commands() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let paused = crate::commands::PausedWriter::pause(&opened.store).await;
    let nova = actor("main", "Nova");
    for number in 0..500 {
        let mut waiting = Box::pin(opened.store.submit(append_texts(&nova, &[&number.to_string()])));
        let poll =
            std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context))).await;
        assert!(poll.is_pending());
    }
    paused.resume().await;
    opened.close();
    let opened = test_store.open();
    assert_eq!(opened.store.recent_events().head(), Sequence(500));
    opened.close();
}
