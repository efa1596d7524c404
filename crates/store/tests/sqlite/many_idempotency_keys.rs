//! More idempotency keys than several generations of their index hold.

use agentcafe_domain::kernel::IdempotencyRules;
use agentcafe_store::{Answer, Store};
use futures_util::future::join_all;
use rusqlite::{Connection, OpenFlags};

use super::files::database;
use crate::commands::{actor, command, reply, with_key};
use crate::idempotency_keys::{accepted, assert_conflict, purge_all, replayed};
use crate::test_store::TestStore;

/// More than two generations.
const KEYS: usize = 80_000;
/// Where the store is closed, while a generation is being merged into the index.
const CLOSED_AT: usize = 40_000;

fn numbered(number: usize, body: &str) -> agentcafe_store::Envelope {
    with_key(command(move |_| reply(&number)), &actor("main", "Nova"), &number.to_string(), body)
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

/// Every key is known, whichever generation it belongs to, also after a restart in the middle of one.
/// Expired keys are deleted, and can be used again whether deleted or not.
#[tokio::test]
async fn idempotency_keys_are_known_over_generations_and_restarts() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    use_keys(&opened.store, 0..CLOSED_AT).await;
    assert_known(&opened.store, 0..CLOSED_AT).await;
    opened.close();
    let opened = test_store.open();
    assert_known(&opened.store, 0..CLOSED_AT).await;
    use_keys(&opened.store, CLOSED_AT..KEYS).await;
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
