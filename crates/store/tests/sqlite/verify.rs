//! `verify` names each damage, and nothing else.

use agentcafe_store::verify::verify;
use rusqlite::Connection;

use super::export_import::store_with_messages;
use super::files::database;

/// A damaged row was left out of pages, or noticed only when it was read.
#[tokio::test]
async fn verify_names_every_damaged_row() {
    let test_store = store_with_messages().await;
    let location = test_store.options().location;
    let found = || {
        let mut damages = Vec::new();
        let totals = verify(&location, |damage| damages.push(damage)).unwrap();
        assert!(totals.events > 600 && totals.records > 1_000 && totals.keys == 600, "{totals:?}");
        damages
    };
    assert_eq!(found(), Vec::<String>::new());
    let damage = |sql: &str| Connection::open(database(&test_store)).unwrap().execute_batch(sql).unwrap();
    let cases = [
        ("DELETE FROM events WHERE sequence BETWEEN 5 AND 6", "the events after 4 and before 7 are missing"),
        (
            "UPDATE events SET json = CAST('{}' AS BLOB) WHERE sequence = 10",
            "event 10: the store holds missing field",
        ),
        (
            "UPDATE events SET room_id = 'other' WHERE sequence = 20",
            "event 20: the store holds another room_id",
        ),
        (
            "UPDATE events SET at_ms = at_ms + 1 WHERE sequence = 30",
            "event 30: the store holds another at_ms",
        ),
        ("UPDATE inbox_items SET json = '[' WHERE inbox_seq = 3", "inbox_items"),
        ("UPDATE idempotency_keys SET success = 7 WHERE id = 9", "idempotency key 9"),
    ];
    for (at, (sql, want)) in cases.into_iter().enumerate() {
        damage(sql);
        let damages = found();
        assert_eq!(damages.len(), at + 1, "{sql}: {damages:?}");
        assert!(damages.iter().any(|damage| damage.starts_with(want)), "{sql}: {damages:?}");
    }
}
