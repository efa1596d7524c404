//! More idempotency keys than several generations of their index hold.

use agentcafe_domain::kernel::IdempotencyRules;
use agentcafe_store::{Answer, Envelope, Failure, Store};
use futures_util::future::join_all;
use rusqlite::{Connection, OpenFlags};

use super::files::database;
use crate::commands::{actor, command, reply, with_key};
use crate::idempotency_keys::{accepted, assert_conflict, purge_all, replayed};
use crate::test_store::TestStore;

/// Two generations are in the index, and a part of the third.
const KEYS: usize = 110_000;
/// Where the store is closed, while a generation is being merged into the index.
const CLOSED_AT: usize = 40_000;

fn numbered(number: usize, body: &str) -> Envelope {
    with_key(command(move |_| reply(&number)), &actor("main", "Nova"), &number.to_string(), body)
}

/// One of several keys whose identities have the same first 8 bytes.
fn with_same_prefix(last: u8, body: &str) -> Envelope {
    let mut envelope = numbered(usize::from(last), body);
    let request = envelope.request.as_mut().unwrap();
    request.key.identity = [5, 5, 5, 5, 5, 5, 5, 5, 0, 0, 0, 0, 0, 0, 0, last];
    envelope
}

async fn use_keys(store: &Store, numbers: std::ops::Range<usize>) {
    let numbers: Vec<usize> = numbers.collect();
    for chunk in numbers.chunks(2_000) {
        let answers = join_all(chunk.iter().map(|number| store.submit(numbered(*number, "first")))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Answer::Done(_)))));
    }
}

/// A sample of keys: each replays its own answer, and some are tried with another request, which is a conflict.
async fn assert_known(store: &Store, numbers: std::ops::Range<usize>) {
    for number in numbers.clone().step_by(61).chain([numbers.end - 1]) {
        let copy = store.submit(numbered(number, "first")).await;
        assert_eq!(replayed(&copy).0.data, number.to_string().as_bytes(), "key {number}");
        if number % 10 == 0 {
            assert_conflict(&store.submit(numbered(number, "second")).await, &number.to_string());
        }
    }
}

fn stored_keys(test_store: &TestStore) -> usize {
    let connection =
        Connection::open_with_flags(database(test_store), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count: u32 =
        connection.query_row("SELECT count(*) FROM idempotency_keys", [], |row| row.get(0)).unwrap();
    count as usize
}

/// Every key is known, whichever generation it belongs to, also after a restart in the middle of one. Two keys whose first
/// 8 bytes are the same are still two keys, and the newest use of a key counts. Expired keys are deleted, and can be used
/// again whether deleted or not.
#[tokio::test]
async fn idempotency_keys_are_known_over_generations_and_restarts() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    accepted(&opened.store.submit(with_same_prefix(1, "expired")).await);
    test_store.clock.advance(test_store.rules.get::<IdempotencyRules>().ttl_ms);
    accepted(&opened.store.submit(with_same_prefix(2, "first")).await);
    use_keys(&opened.store, 0..CLOSED_AT).await;
    assert_known(&opened.store, 0..CLOSED_AT).await;
    opened.close();
    let opened = test_store.open();
    assert_known(&opened.store, 0..CLOSED_AT).await;
    accepted(&opened.store.submit(with_same_prefix(1, "first")).await);
    use_keys(&opened.store, CLOSED_AT..KEYS).await;
    for (last, data) in [(1, b"1"), (2, b"2")] {
        assert_eq!(replayed(&opened.store.submit(with_same_prefix(last, "first")).await).0.data, data);
    }
    assert_known(&opened.store, 0..KEYS).await;
    test_store.clock.advance(test_store.rules.get::<IdempotencyRules>().ttl_ms);
    for number in [0, 33_000, KEYS - 1] {
        accepted(&opened.store.submit(numbered(number, "anew")).await);
    }
    purge_all(&opened.store).await;
    // The newest generations are not in the index yet, and stay until they are.
    assert!(
        stored_keys(&test_store) < KEYS * 2 / 3,
        "{} of {KEYS} expired keys are left",
        stored_keys(&test_store)
    );
    for number in [0, 33_000, KEYS - 1] {
        replayed(&opened.store.submit(numbered(number, "anew")).await);
    }
    for number in (1..KEYS).step_by(8_111) {
        accepted(&opened.store.submit(numbered(number, "anew")).await);
    }
    opened.close();
}

/// A commit batch that cannot be written leaves no key behind.
#[tokio::test]
async fn idempotency_keys_of_a_failed_batch_are_forgotten() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let outside = Connection::open(database(&test_store)).unwrap();
    for (trigger, table) in [("no_even", "traces_even"), ("no_odd", "traces_odd")] {
        let refuse =
            format!("CREATE TRIGGER {trigger} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END");
        outside.execute_batch(&refuse).unwrap();
    }
    let failed = opened.store.submit(numbered(0, "first")).await;
    assert!(matches!(failed, Err(Failure::Unavailable(_))), "{failed:?}");
    outside.execute_batch("DROP TRIGGER no_even; DROP TRIGGER no_odd").unwrap();
    for number in [1, 0] {
        accepted(&opened.store.submit(numbered(number, "first")).await);
    }
    assert_known(&opened.store, 0..2).await;
    opened.close();
}
