//! Records of every kind through statements built from the kind's table, each for many rows.

use std::collections::HashMap;

use agentcafe_domain::kernel::{Key, RecordQuery, StoredRecord, Table};
use tokio_postgres::Row;

use super::connection::Connection;
use super::pipeline::{self, BoundStatement, BoxedParameter};
use super::schema::Schema;
use crate::rows::{Parameter, stored_record};
use crate::sql::{Select, column_list, columns, on_conflict_update};
use crate::storage_error::StorageError;

/// `unnest` of one array for each column, with their types.
fn unnest(table: &Table, schema: &Schema, names: &[&'static str]) -> String {
    let array =
        |(at, name): (usize, &&str)| format!("${}::{}", at + 1, schema.column(table, name).array_type());
    format!("unnest({})", names.iter().enumerate().map(array).collect::<Vec<_>>().join(", "))
}

fn key_arrays<'k>(table: &Table, keys: &[&'k Key]) -> Vec<BoxedParameter<'k>> {
    let array = |at: usize| keys.iter().map(|key| Parameter::from(&key[at])).collect::<Vec<_>>();
    (0..table.key.len()).map(|at| Box::new(array(at)) as _).collect()
}

/// Reads the records with some keys, in no order.
pub(super) fn select_keys<'k>(schema: &Schema, table: &Table, keys: &'k [Key]) -> BoundStatement<'k> {
    let sql = format!(
        "SELECT {} FROM {} WHERE ({}) IN (SELECT * FROM {})",
        column_list(table),
        table.name,
        table.key.join(", "),
        unnest(table, schema, table.key),
    );
    BoundStatement::new(sql, key_arrays(table, &keys.iter().collect::<Vec<_>>()))
}

/// A query as a statement.
pub(super) fn select<'q>(schema: &Schema, query: &'q RecordQuery) -> Select<'q> {
    // An index is in the default order of nulls. So another order is named only where there can be nulls.
    Select::new(query, schema.column(query.table, query.order_by).is_nullable)
}

/// Reads the records that a query selects.
pub(super) fn select_many<'q>(schema: &Schema, query: &'q RecordQuery) -> BoundStatement<'q> {
    let Select { sql, parameters } = select(schema, query);
    BoundStatement::new(sql, parameters.into_iter().map(|parameter| Box::new(parameter) as _).collect())
}

/// The records in an answer, in order.
pub(super) fn found(table: &Table, rows: &[Row]) -> Result<Vec<StoredRecord>, StorageError> {
    rows.iter().map(|row| stored_record(table, row)).collect()
}

/// The records in an answer, by key.
pub(super) fn found_by_key(table: &Table, rows: &[Row]) -> Result<HashMap<Key, StoredRecord>, StorageError> {
    Ok(found(table, rows)?.into_iter().map(|record| (record.key.clone(), record)).collect())
}

/// The records with these keys, in their order.
pub(super) async fn get(
    connection: &Connection,
    table: &Table,
    keys: &[Key],
) -> Result<Vec<Option<StoredRecord>>, StorageError> {
    let rows = pipeline::run(connection, &[select_keys(&connection.schema, table, keys)]).await?;
    let found = found_by_key(table, &rows.concat())?;
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// What a commit batch has written to a table: one statement for all puts, one for all deletes.
pub(super) fn write<'w>(
    schema: &Schema,
    table: &Table,
    written: &'w HashMap<Key, Option<StoredRecord>>,
) -> impl Iterator<Item = BoundStatement<'w>> {
    let put: Vec<&StoredRecord> = written.values().flatten().collect();
    let deleted: Vec<&Key> =
        written.iter().filter(|(_, record)| record.is_none()).map(|(key, _)| key).collect();
    let upsert = (!put.is_empty()).then(|| insert_or(schema, table, &put, &on_conflict_update(table)));
    let delete = (!deleted.is_empty()).then(|| {
        let sql = format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT * FROM {})",
            table.name,
            table.key.join(", "),
            unnest(table, schema, table.key),
        );
        BoundStatement::new(sql, key_arrays(table, &deleted))
    });
    upsert.into_iter().chain(delete)
}

/// Inserts records; an error if there is one already.
pub(super) fn insert<'w>(schema: &Schema, table: &Table, records: &[&'w StoredRecord]) -> BoundStatement<'w> {
    insert_or(schema, table, records, "")
}

fn insert_or<'w>(
    schema: &Schema,
    table: &Table,
    records: &[&'w StoredRecord],
    on_conflict: &str,
) -> BoundStatement<'w> {
    let names: Vec<&str> = columns(table).collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT * FROM {}{on_conflict}",
        table.name,
        names.join(", "),
        unnest(table, schema, &names),
    );
    let array = |at: usize| {
        let cell = |record: &&'w StoredRecord| {
            Parameter::from(record.key.get(at).unwrap_or_else(|| &record.columns[at - record.key.len()]))
        };
        Box::new(records.iter().map(cell).collect::<Vec<_>>()) as BoxedParameter<'w>
    };
    let mut arrays: Vec<_> = (0..names.len() - 1).map(array).collect();
    arrays.push(Box::new(records.iter().map(|record| Parameter::bytes(&record.json)).collect::<Vec<_>>()));
    BoundStatement::new(sql, arrays)
}
