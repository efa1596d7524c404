//! Records of every kind through statements built from the kind's table, each for many rows.

use std::collections::HashMap;

use agentcafe_domain::kernel::record::{Cell, Key, RecordQuery, StoredRecord, Table};
use tokio_postgres::{Error, Row};

use super::{
    connect::PostgresError,
    connection::Connection,
    pipeline::{self, BoundStatement},
    schema::{Array, Parameter, Schema},
};
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
    let array = |(at, name): (usize, &&'static str)| {
        format!("${}::{}", at + 1, Array::sql_type(schema.column(table, name)))
    };
    format!("unnest({})", names.iter().enumerate().map(array).collect::<Vec<_>>().join(", "))
}

fn arrays(table: &Table, schema: &Schema, keys: &[&Key]) -> Vec<Array> {
    let array = |(at, name): (usize, &&'static str)| {
        Array::new(schema.column(table, name), keys.iter().map(move |key| &key[at]))
    };
    table.key.iter().enumerate().map(array).collect()
}

/// The statement that reads the records with some keys.
pub(super) struct Get {
    table: &'static Table,
    sql: String,
    arrays: Vec<Array>,
}

impl Get {
    pub(super) fn new(schema: &Schema, table: &'static Table, keys: &[Key]) -> Self {
        let sql = format!(
            "SELECT {} FROM {} WHERE ({}) IN (SELECT * FROM {})",
            column_list(table),
            table.name,
            table.key.join(", "),
            unnest(table, schema, table.key),
        );
        Self { table, sql, arrays: arrays(table, schema, &keys.iter().collect::<Vec<_>>()) }
    }

    pub(super) fn statement(&self) -> BoundStatement<'_> {
        let parameters: Vec<_> = self.arrays.iter().map(Array::as_sql).collect();
        BoundStatement::new(self.sql.clone(), &parameters)
    }

    /// The records in the answer, by key.
    pub(super) fn found(&self, schema: &Schema, rows: &[Row]) -> Result<HashMap<Key, StoredRecord>, Error> {
        let keyed = |row| record(self.table, schema, row).map(|record| (record.key.clone(), record));
        rows.iter().map(keyed).collect()
    }
}

/// The records with these keys, in their order.
pub(super) async fn get(
    connection: &Connection,
    table: &'static Table,
    keys: &[Key],
) -> Result<Vec<Option<StoredRecord>>, PostgresError> {
    let get = Get::new(&connection.schema, table, keys);
    let rows = pipeline::run(connection, &[get.statement()]).await?;
    let found = get.found(&connection.schema, &rows.concat())?;
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// The statement of a [`RecordQuery`].
pub(super) struct RecordSelect {
    table: &'static Table,
    sql: String,
    parameters: Vec<Parameter>,
}

impl RecordSelect {
    pub(super) fn new(schema: &Schema, query: &RecordQuery) -> Self {
        let table = query.table;
        // An index is in the default order of nulls. So another order is named only where there can be nulls.
        let names_null_order = schema.column(table, query.order_by).is_nullable;
        let Select { sql, parameters } = Select::new(query, &Dialect { parameter: '$', names_null_order });
        let parameter = |(column, cell)| Parameter::new(schema.column(table, column), cell);
        Self { table, sql, parameters: parameters.into_iter().map(parameter).collect() }
    }

    pub(super) fn statement(&self) -> BoundStatement<'_> {
        let parameters: Vec<_> = self.parameters.iter().map(Parameter::as_sql).collect();
        BoundStatement::new(self.sql.clone(), &parameters)
    }

    /// The records in the answer, in order.
    pub(super) fn found(&self, schema: &Schema, rows: &[Row]) -> Result<Vec<StoredRecord>, Error> {
        rows.iter().map(|row| record(self.table, schema, row)).collect()
    }
}

/// The records that a query selects; after the first, only as many as `max_bytes` of JSON hold. And whether a limit may have
/// left out more.
pub(super) async fn find(
    connection: &Connection,
    query: &RecordQuery,
    max_bytes: usize,
) -> Result<(Vec<StoredRecord>, bool), PostgresError> {
    let select = RecordSelect::new(&connection.schema, query);
    let rows = pipeline::run(connection, &[select.statement()]).await?;
    let mut found = select.found(&connection.schema, &rows.concat())?;
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

/// A statement that writes many rows of a table.
pub(super) struct RecordWrite {
    sql: String,
    arrays: Vec<Array>,
}

impl RecordWrite {
    pub(super) fn statement(&self) -> BoundStatement<'_> {
        let parameters: Vec<_> = self.arrays.iter().map(Array::as_sql).collect();
        BoundStatement::new(self.sql.clone(), &parameters)
    }

    /// What a commit batch has written to a table: one statement for all puts, one for all deletes.
    pub(super) fn all(
        schema: &Schema,
        table: &'static Table,
        written: &HashMap<Key, Option<StoredRecord>>,
    ) -> Vec<Self> {
        let put: Vec<&StoredRecord> = written.values().flatten().collect();
        let deleted: Vec<&Key> =
            written.iter().filter(|(_, record)| record.is_none()).map(|(key, _)| key).collect();
        let upsert = (!put.is_empty()).then(|| {
            let insert = Self::insert(schema, table, &put);
            Self { sql: insert.sql + &on_conflict_update(table), ..insert }
        });
        let delete = (!deleted.is_empty()).then(|| Self::delete(schema, table, &deleted));
        upsert.into_iter().chain(delete).collect()
    }

    /// Inserts records; an error if there is one already.
    pub(super) fn insert(schema: &Schema, table: &'static Table, records: &[&StoredRecord]) -> Self {
        let names: Vec<&'static str> = columns(table).collect();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM {}",
            table.name,
            names.join(", "),
            unnest(table, schema, &names),
        );
        let array = |(at, name): (usize, &&'static str)| {
            let cells = records.iter().map(move |record| {
                record.key.get(at).unwrap_or_else(|| &record.columns[at - record.key.len()])
            });
            Array::new(schema.column(table, name), cells)
        };
        let mut arrays: Vec<Array> = names[..names.len() - 1].iter().enumerate().map(array).collect();
        let text = |record: &&StoredRecord| {
            Some(String::from_utf8(record.json.clone()).expect("records are rendered as UTF-8"))
        };
        arrays.push(Array::Texts(records.iter().map(text).collect()));
        Self { sql, arrays }
    }

    fn delete(schema: &Schema, table: &'static Table, keys: &[&Key]) -> Self {
        let sql = format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT * FROM {})",
            table.name,
            table.key.join(", "),
            unnest(table, schema, table.key),
        );
        Self { sql, arrays: arrays(table, schema, keys) }
    }
}
