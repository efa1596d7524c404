//! A store that was exported and imported holds, row by row, what the first one held.

use agentcafe_domain::conversation::{Say, mentions_in};
use agentcafe_domain::kernel::{Fields, TenantId, Timestamp};
use agentcafe_domain::record_kinds;
use agentcafe_store::export::export;
use agentcafe_store::import::{Imported, import};
use agentcafe_store::{Answer, ExportScope};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use super::files::database;
use crate::commands::{actor, envelope};
use crate::idempotency_keys::{replayed, say_with_key};
use crate::test_store::{BEGIN, TestStore};

/// Every row of a table, whatever its columns.
fn rows(test_store: &TestStore, table: &str) -> Vec<Vec<Value>> {
    let connection =
        Connection::open_with_flags(database(test_store), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

fn say(test_store: &TestStore, room: &str, text: &str) -> Say {
    let mentions: Vec<String> = mentions_in(text).iter().map(ToString::to_string).collect();
    let body = serde_json::json!({ "actorId": "Nova", "roomId": room, "text": text, "mentions": mentions });
    Say::read(&Fields::of_body(body.as_object().cloned().unwrap()), &test_store.rules).unwrap()
}

/// A store with messages, with idempotency keys and without.
pub(crate) async fn store_with_messages() -> TestStore {
    let test_store = TestStore::new();
    let opened = test_store.open();
    for number in 0..600 {
        opened.store.submit(envelope(say(&test_store, "main", &format!("{number} @Kai @Bo")))).await.unwrap();
        opened.store.submit(say_with_key(&format!("key-{number}"), "said once")).await.unwrap();
    }
    opened.close();
    test_store
}

fn exported(test_store: &TestStore, part: &ExportScope, at: Timestamp) -> Vec<u8> {
    let mut text = Vec::new();
    export(&test_store.options().location, part, at, &mut text).unwrap();
    text
}

/// Every row of the log, the records and the keys is the same in every column, and the keys replay their
/// answers.
#[tokio::test]
async fn import_restores_every_exported_row() {
    let first = store_with_messages().await;
    let text = exported(&first, &ExportScope::default(), BEGIN);
    let second = TestStore::new();
    let done = import(&second.options().location, text.as_slice(), BEGIN).unwrap();
    let Imported::Done(totals) = done else { panic!("{done:?}") };
    let records = record_kinds::ALL.iter().map(|kind| kind.table.name);
    for table in ["events", "idempotency_keys", "idempotency_replies"].into_iter().chain(records) {
        let (before, after) = (rows(&first, table), rows(&second, table));
        assert!(before == after, "{table}: {} rows before, {} after", before.len(), after.len());
    }
    assert_eq!((totals.events, totals.keys), (rows(&first, "events").len() as u64, 600));
    let opened = second.open();
    for number in [0, 255, 256, 599] {
        let copy = opened.store.submit(say_with_key(&format!("key-{number}"), "said once")).await;
        assert_eq!(replayed(&copy).1, format!("request-key-{number}-said once"));
    }
    assert!(matches!(opened.store.submit(say_with_key("new", "x")).await, Ok(Answer::Done(_))));
    opened.close();
}

/// The export of a room has no rows of other rooms. The numbers continue after those of the whole store.
#[tokio::test]
async fn import_of_a_room_continues_the_numbers_of_the_whole_store() {
    let first = TestStore::new();
    let opened = first.open();
    for room in ["main", "lounge", "main"] {
        opened.store.submit(envelope(say(&first, room, "hey @Kai"))).await.unwrap();
    }
    let head = opened.store.recent_events().head();
    opened.close();
    let room = actor("lounge", "Nova").room_id;
    let part = ExportScope { tenant: Some(TenantId::default()), room: Some(room) };
    let second = TestStore::new();
    import(&second.options().location, exported(&first, &part, BEGIN).as_slice(), BEGIN).unwrap();
    let opened = second.open();
    assert_eq!(opened.store.recent_events().head(), head);
    opened.store.submit(envelope(say(&second, "lounge", "again @Kai"))).await.unwrap();
    opened.close();
    let sequences: Vec<Value> = rows(&second, "inbox_items").into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(sequences.len(), 2);
    assert!(
        sequences.contains(&Value::Integer(2)) && sequences.contains(&Value::Integer(4)),
        "{sequences:?}"
    );
}

/// Two exports with the same content are the same export, whenever they were written.
#[tokio::test]
async fn import_of_the_same_export_changes_nothing() {
    let first = store_with_messages().await;
    let second = TestStore::new();
    let at = |ms| BEGIN.plus_ms(ms);
    import(&second.options().location, exported(&first, &ExportScope::default(), at(1)).as_slice(), at(5))
        .unwrap();
    let before = rows(&second, "import_origin");
    let again = import(
        &second.options().location,
        exported(&first, &ExportScope::default(), at(2)).as_slice(),
        at(9),
    );
    assert_eq!(again.unwrap(), Imported::Before(at(5)));
    assert!(rows(&second, "import_origin") == before);
}
