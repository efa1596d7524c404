//! A store that was exported and imported holds, row by row, what the first one held.

use agentcafe_domain::{
    conversation::Say,
    kernel::{fields::Fields, ids::TenantId, time::Timestamp},
    record_kinds,
};
use agentcafe_store::{
    Answer, ExportScope,
    export::export,
    import::{Imported, import},
};
use rusqlite::{Connection, OpenFlags, types::Value};

use super::files::database;
use crate::{
    commands::{actor, envelope},
    keys::{again, say_once},
    place::{BEGIN, StoreLocation},
};

/// Every row of a table, whatever its columns.
fn rows(place: &StoreLocation, table: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open_with_flags(database(place), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

fn say(place: &StoreLocation, room: &str, text: &str) -> Say {
    let body = serde_json::json!({ "actorId": "Nova", "roomId": room, "text": text });
    Say::read(&Fields::of_body(body.as_object().cloned().unwrap()), &place.rules).unwrap()
}

/// A store in which something was said, under keys and without.
async fn talkative() -> StoreLocation {
    let place = StoreLocation::new();
    let opened = place.open();
    for number in 0..600 {
        opened.store.submit(envelope(say(&place, "main", &format!("{number} @Kai @Bo")))).await.unwrap();
        opened.store.submit(say_once(&format!("key-{number}"), "said once")).await.unwrap();
    }
    opened.close();
    place
}

fn exported(place: &StoreLocation, part: &ExportScope, at: Timestamp) -> Vec<u8> {
    let mut text = Vec::new();
    export(&place.options().location, part, at, &mut text).unwrap();
    text
}

/// Promises 1 and 2 over a move: every row of the log, the records and the keys is the same, in every column, and the keys are
/// found.
#[tokio::test]
async fn every_row_moves() {
    let first = talkative().await;
    let text = exported(&first, &ExportScope::default(), BEGIN);
    let second = StoreLocation::new();
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
        let copy = opened.store.submit(say_once(&format!("key-{number}"), "said once")).await;
        assert_eq!(again(&copy).1, format!("request-key-{number}-said once"));
    }
    assert!(matches!(opened.store.submit(say_once("new", "x")).await, Ok(Answer::Done(_))));
    opened.close();
}

/// What a part of a café takes along has nobody else's rows; the numbers go on behind those of the whole.
#[tokio::test]
async fn a_part_takes_the_heads_along() {
    let first = StoreLocation::new();
    let opened = first.open();
    for room in ["main", "lounge", "main"] {
        opened.store.submit(envelope(say(&first, room, "hey @Kai"))).await.unwrap();
    }
    let head = opened.store.recent_events().head();
    opened.close();
    let room = actor("lounge", "Nova").room_id;
    let part = ExportScope { tenant: Some(TenantId::default()), room: Some(room) };
    let second = StoreLocation::new();
    import(&second.options().location, exported(&first, &part, BEGIN).as_slice(), BEGIN).unwrap();
    let opened = second.open();
    assert_eq!(opened.store.recent_events().head(), head);
    opened.store.submit(envelope(say(&second, "lounge", "again @Kai"))).await.unwrap();
    opened.close();
    let places: Vec<Value> = rows(&second, "inbox_items").into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(places.len(), 2);
    assert!(places.contains(&Value::Integer(2)) && places.contains(&Value::Integer(4)), "{places:?}");
}

/// When it was exported makes no difference to what an import knows as the same.
#[tokio::test]
async fn the_same_again_changes_nothing() {
    let first = talkative().await;
    let second = StoreLocation::new();
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
