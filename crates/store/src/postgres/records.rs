//! Records of every kind through statements built from the kind's table, each for many rows.

use std::collections::HashMap;

use agentcafe_domain::kernel::{Cell, Key, RecordQuery, StoredRecord, Table};
use tokio_postgres::{Error, Row};

use super::connect::PostgresError;
use super::connection::Connection;
use super::pipeline::{self, BoundStatement, Parameter};
use super::schema::Schema;
use crate::sql::{Dialect, Select, column_list, columns, on_conflict_update};

fn record(table: &Table, schema: &Schema, row: &Row) -> Result<StoredRecord, Error> {
    let cell = |(at, name): (usize, &&'static str)| {
        Ok(if schema.column(table, name).is_text {
            row.try_get::<_, Option<&str>>(at)?.map_or(Cell::Null, Cell::from)
        } else {
            row.try_get::<_, Option<i64>>(at)?.map_or(Cell::Null, Cell::Integer)
        })
    };
    let keys = table.key.len();
    let mut cells: Vec<Cell> =
        table.key.iter().chain(table.columns).enumerate().map(cell).collect::<Result<_, Error>>()?;
    let columns = cells.split_off(keys);
    let json: &str = row.try_get(keys + columns.len())?;
    Ok(StoredRecord { key: cells, columns, json: json.as_bytes().to_vec() })
}

/// `unnest` of one array for each column, with their types.
fn unnest(table: &Table, schema: &Schema, names: &[&'static str]) -> String {
    let array =
        |(at, name): (usize, &&str)| format!("${}::{}", at + 1, schema.column(table, name).array_type());
    format!("unnest({})", names.iter().enumerate().map(array).collect::<Vec<_>>().join(", "))
}

fn key_arrays<'k>(table: &Table, schema: &Schema, keys: &[&'k Key]) -> Vec<Parameter<'k>> {
    let array =
        |(at, name): (usize, &&str)| schema.column(table, name).array(keys.iter().map(|key| &key[at]));
    table.key.iter().enumerate().map(array).collect()
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
    BoundStatement::new(sql, key_arrays(table, schema, &keys.iter().collect::<Vec<_>>()))
}

/// Reads the records that a query selects.
pub(super) fn select<'q>(schema: &Schema, query: &'q RecordQuery) -> BoundStatement<'q> {
    let table = query.table;
    // An index is in the default order of nulls. So another order is named only where there can be nulls.
    let names_null_order = schema.column(table, query.order_by).is_nullable;
    let Select { sql, parameters } = Select::new(query, &Dialect { parameter: '$', names_null_order });
    let parameter = |(column, cell)| schema.column(table, column).parameter(cell);
    BoundStatement::new(sql, parameters.into_iter().map(parameter).collect())
}

/// The records in an answer, in order.
pub(super) fn found(schema: &Schema, table: &Table, rows: &[Row]) -> Result<Vec<StoredRecord>, Error> {
    rows.iter().map(|row| record(table, schema, row)).collect()
}

/// The records in an answer, by key.
pub(super) fn found_by_key(
    schema: &Schema,
    table: &Table,
    rows: &[Row],
) -> Result<HashMap<Key, StoredRecord>, Error> {
    Ok(found(schema, table, rows)?.into_iter().map(|record| (record.key.clone(), record)).collect())
}

/// The records with these keys, in their order.
pub(super) async fn get(
    connection: &Connection,
    table: &Table,
    keys: &[Key],
) -> Result<Vec<Option<StoredRecord>>, PostgresError> {
    let rows = pipeline::run(connection, &[select_keys(&connection.schema, table, keys)]).await?;
    let found = found_by_key(&connection.schema, table, &rows.concat())?;
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// The records that a query selects; after the first, only as many as `max_bytes` of JSON hold. And whether a limit may have
/// left out more.
pub(super) async fn find(
    connection: &Connection,
    query: &RecordQuery,
    max_bytes: usize,
) -> Result<(Vec<StoredRecord>, bool), PostgresError> {
    let rows = pipeline::run(connection, &[select(&connection.schema, query)]).await?;
    let mut found = found(&connection.schema, query.table, &rows.concat())?;
    let is_full = found.len() == query.limit;
    let mut bytes = 0_usize;
    let fits = |record: &StoredRecord| {
        bytes = bytes.saturating_add(record.json.len());
        bytes <= max_bytes
    };
    let count = found.iter().map(fits).take_while(|fits| *fits).count().max(1).min(found.len());
    let is_cut = count < found.len();
    found.truncate(count);
    Ok((found, is_full || is_cut))
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
        BoundStatement::new(sql, key_arrays(table, schema, &deleted))
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
    let array = |(at, name): (usize, &&str)| {
        let cells = records
            .iter()
            .map(move |record| record.key.get(at).unwrap_or_else(|| &record.columns[at - record.key.len()]));
        schema.column(table, name).array(cells)
    };
    let mut arrays: Vec<Parameter<'w>> = names[..names.len() - 1].iter().enumerate().map(array).collect();
    let text =
        |record: &&'w StoredRecord| std::str::from_utf8(&record.json).expect("records are rendered as UTF-8");
    arrays.push(Box::new(records.iter().map(text).collect::<Vec<_>>()));
    BoundStatement::new(sql, arrays)
}
