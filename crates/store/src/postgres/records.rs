//! Records of every kind through statements made from the kind's table, many rows with each.

use std::collections::HashMap;

use agentcafe_domain::kernel::record::{Cell, Comparison, Key, RecordQuery, StoredRecord, Table};
use tokio_postgres::{Error, Row};

use super::{
    connection::Connection,
    in_order::{self, Order},
    schema::{Array, One, Schema},
};

fn columns(table: &Table) -> String {
    table.key.iter().chain(table.columns).copied().chain(["json"]).collect::<Vec<_>>().join(", ")
}

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
        Array::of(schema.column(table, name), keys.iter().map(move |key| &key[at]))
    };
    table.key.iter().enumerate().map(array).collect()
}

/// Asks for the records with some keys.
pub(super) struct Get {
    table: &'static Table,
    sql: String,
    arrays: Vec<Array>,
}

impl Get {
    pub(super) fn of(schema: &Schema, table: &'static Table, keys: &[Key]) -> Self {
        let sql = format!(
            "SELECT {} FROM {} WHERE ({}) IN (SELECT * FROM {})",
            columns(table),
            table.name,
            table.key.join(", "),
            unnest(table, schema, table.key),
        );
        Self { table, sql, arrays: arrays(table, schema, &keys.iter().collect::<Vec<_>>()) }
    }

    pub(super) fn order(&self) -> Order<'_> {
        let parameters: Vec<_> = self.arrays.iter().map(Array::parameter).collect();
        Order::new(self.sql.clone(), &parameters)
    }

    /// What was found, by key.
    pub(super) fn found(&self, schema: &Schema, rows: &[Row]) -> Result<HashMap<Key, StoredRecord>, Error> {
        let keyed = |row| record(self.table, schema, row).map(|record| (record.key.clone(), record));
        rows.iter().map(keyed).collect()
    }
}

/// The records with these keys, in their order.
pub(super) async fn get_all(
    connection: &Connection,
    table: &'static Table,
    keys: &[Key],
) -> Result<Vec<Option<StoredRecord>>, Error> {
    let get = Get::of(&connection.schema, table, keys);
    let rows = in_order::run(connection, &[get.order()]).await?;
    let found = get.found(&connection.schema, &rows.concat())?;
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// The record with this key.
pub(super) async fn get(
    connection: &Connection,
    table: &'static Table,
    key: Key,
) -> Result<Option<StoredRecord>, Error> {
    let get = Get::of(&connection.schema, table, std::slice::from_ref(&key));
    let rows = in_order::run(connection, &[get.order()]).await?;
    Ok(get.found(&connection.schema, &rows.concat())?.remove(&key))
}

/// A `RecordQuery` as SQL, with its parameters.
pub(super) struct Selection {
    table: &'static Table,
    sql: String,
    values: Vec<One>,
}

impl Selection {
    pub(super) fn order(&self) -> Order<'_> {
        let parameters: Vec<_> = self.values.iter().map(One::parameter).collect();
        Order::new(self.sql.clone(), &parameters)
    }

    /// What was found, in order.
    pub(super) fn found(&self, schema: &Schema, rows: &[Row]) -> Result<Vec<StoredRecord>, Error> {
        rows.iter().map(|row| record(self.table, schema, row)).collect()
    }

    pub(super) fn of(schema: &Schema, find: &RecordQuery) -> Self {
        let mut selection = Self { table: find.table, sql: String::new(), values: Vec::new() };
        let mut conditions: Vec<String> =
            find.conditions.iter().map(|one| selection.condition(schema, find.table, one)).collect();
        if find.after.is_some() {
            conditions.push(selection.behind(schema, find));
        }
        conditions.push("true".to_owned());
        let (direction, nulls) =
            if find.descending { ("DESC", "NULLS LAST") } else { ("ASC", "NULLS FIRST") };
        // Said only where there can be nulls: an index is in the order that is not said.
        let nulls = if schema.column(find.table, find.order_by).is_nullable { nulls } else { "" };
        selection.sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} {direction} {nulls}, {} LIMIT {}",
            columns(find.table),
            find.table.name,
            conditions.join(" AND "),
            find.order_by,
            find.table.key.join(", "),
            find.limit,
        );
        selection
    }

    /// Adds a value, and answers how the statement names it.
    fn place(&mut self, schema: &Schema, table: &Table, column: &str, cell: &Cell) -> String {
        self.values.push(One::of(schema.column(table, column), cell));
        format!("${}", self.values.len())
    }

    fn condition(
        &mut self,
        schema: &Schema,
        table: &Table,
        condition: &agentcafe_domain::kernel::record::Condition,
    ) -> String {
        let column = condition.column;
        let is_null = condition.value == Cell::Null;
        let comparison = match (condition.comparison, is_null) {
            (Comparison::Is, true) => return format!("{column} IS NULL"),
            (Comparison::IsNot, true) => return format!("{column} IS NOT NULL"),
            // `IS NOT DISTINCT FROM` would not use an index.
            (Comparison::Is, false) => "=",
            (Comparison::IsNot, false) => "IS DISTINCT FROM",
            (Comparison::AtMost, _) => "<=",
            (Comparison::Above, _) => ">",
            (Comparison::Below, _) => "<",
        };
        let place = self.place(schema, table, column, &condition.value);
        format!("{column} {comparison} {place}")
    }

    /// The condition of being behind a place in the order. Null comes before every value.
    fn behind(&mut self, schema: &Schema, find: &RecordQuery) -> String {
        let Some(after) = &find.after else { return "true".to_owned() };
        let (table, column) = (find.table, find.order_by);
        let keys: Vec<String> = table
            .key
            .iter()
            .zip(&after.key)
            .map(|(name, cell)| self.place(schema, table, name, cell))
            .collect();
        let behind_key = format!("({}) > ({})", table.key.join(", "), keys.join(", "));
        if after.sorted_by == Cell::Null {
            let further = if find.descending { "false".to_owned() } else { format!("{column} IS NOT NULL") };
            return format!("({further} OR ({column} IS NULL AND {behind_key}))");
        }
        let place = self.place(schema, table, column, &after.sorted_by);
        let further = if find.descending {
            format!("({column} < {place} OR {column} IS NULL)")
        } else {
            format!("{column} > {place}")
        };
        format!("({further} OR ({column} = {place} AND {behind_key}))")
    }
}

/// The records that `find` selects.
pub(super) async fn find(connection: &Connection, find: &RecordQuery) -> Result<Vec<StoredRecord>, Error> {
    let selection = Selection::of(&connection.schema, find);
    let rows = in_order::run(connection, &[selection.order()]).await?;
    selection.found(&connection.schema, &rows.concat())
}

/// The records that `find` selects: after the first, only as many as `max_bytes` of JSON hold. And whether a limit may have
/// cut off more.
pub(super) async fn find_within(
    connection: &Connection,
    find: &RecordQuery,
    max_bytes: usize,
) -> Result<(Vec<StoredRecord>, bool), Error> {
    let mut found = self::find(connection, find).await?;
    let is_full = found.len() == find.limit;
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

/// A statement that writes many rows.
pub(super) struct Write {
    sql: String,
    arrays: Vec<Array>,
}

impl Write {
    pub(super) fn order(&self) -> Order<'_> {
        let parameters: Vec<_> = self.arrays.iter().map(Array::parameter).collect();
        Order::new(self.sql.clone(), &parameters)
    }
}

/// What a turn has written to one table: one statement for all that is put, one for all that is deleted.
pub(super) fn writes(
    schema: &Schema,
    table: &'static Table,
    written: &HashMap<Key, Option<StoredRecord>>,
) -> Vec<Write> {
    let put: Vec<&StoredRecord> = written.values().flatten().collect();
    let deleted: Vec<&Key> =
        written.iter().filter(|(_, record)| record.is_none()).map(|(key, _)| key).collect();
    let upserts = (!put.is_empty()).then(|| upsert(schema, table, &put));
    let deletes = (!deleted.is_empty()).then(|| delete(schema, table, &deleted));
    upserts.into_iter().chain(deletes).collect()
}

fn upsert(schema: &Schema, table: &'static Table, records: &[&StoredRecord]) -> Write {
    let mut write = insert(schema, table, records);
    let updates: Vec<String> =
        table.columns.iter().chain(&["json"]).map(|name| format!("{name} = excluded.{name}")).collect();
    let instead = format!(" ON CONFLICT ({}) DO UPDATE SET {}", table.key.join(", "), updates.join(", "));
    write.sql.push_str(&instead);
    write
}

/// Adds records that are not there.
pub(super) fn insert(schema: &Schema, table: &'static Table, records: &[&StoredRecord]) -> Write {
    let names: Vec<&'static str> = table.key.iter().chain(table.columns).copied().chain(["json"]).collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT * FROM {}",
        table.name,
        names.join(", "),
        unnest(table, schema, &names),
    );
    let keys = table.key.len();
    let column = |(at, name): (usize, &&'static str)| {
        let cell = move |record: &&'_ StoredRecord| -> Cell {
            if at < keys { record.key[at].clone() } else { record.columns[at - keys].clone() }
        };
        let cells: Vec<Cell> = records.iter().map(cell).collect();
        Array::of(schema.column(table, name), cells.iter())
    };
    let mut arrays: Vec<Array> = names[..names.len() - 1].iter().enumerate().map(column).collect();
    let text = |record: &&StoredRecord| {
        Some(String::from_utf8(record.json.clone()).expect("records are rendered as UTF-8"))
    };
    arrays.push(Array::Texts(records.iter().map(text).collect()));
    Write { sql, arrays }
}

fn delete(schema: &Schema, table: &'static Table, keys: &[&Key]) -> Write {
    let sql = format!(
        "DELETE FROM {} WHERE ({}) IN (SELECT * FROM {})",
        table.name,
        table.key.join(", "),
        unnest(table, schema, table.key),
    );
    Write { sql, arrays: arrays(table, schema, keys) }
}
