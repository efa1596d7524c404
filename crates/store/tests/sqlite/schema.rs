//! The tables of records in an embedded store are those that the records describe.

use std::collections::BTreeMap;

use agentcafe_domain::record_kinds;
use rusqlite::Connection;

use super::files::database;
use crate::test_store::TestStore;

/// `record_kinds::ALL` lists every table with a `json` column but the log, with its columns; and no other table.
#[test]
fn record_kinds_list_every_table_of_records() {
    let test_store = TestStore::new();
    test_store.open().close();
    let connection = Connection::open(database(&test_store)).unwrap();
    let mut columns = BTreeMap::<String, Vec<String>>::new();
    let query = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' ORDER BY m.name, c.name";
    let mut statement = connection.prepare(query).unwrap();
    for pair in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (table, column) = pair.unwrap();
        columns.entry(table).or_default().push(column);
    }
    columns.retain(|table, columns| table != "events" && columns.iter().any(|column| column == "json"));
    let listed = record_kinds::ALL.iter().map(|kind| {
        let names = kind.table.key.iter().chain(kind.table.columns).chain(&["json"]);
        let mut names: Vec<String> = names.map(|name| (*name).to_owned()).collect();
        names.sort();
        (kind.table.name.to_owned(), names)
    });
    assert_eq!(columns, listed.collect());
}
