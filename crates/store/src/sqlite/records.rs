//! Records of every kind through one set of statements, made from the kind's table.

use agentcafe_domain::record::{Cell, Comparison, Condition, Find, Key, StoredRecord, Table};
use rusqlite::{
    Connection, Row, ToSql, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};

/// A cell on its way into a statement.
struct Bound<'a>(&'a Cell);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn cell(row: &Row<'_>, at: usize) -> rusqlite::Result<Cell> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(text) => Cell::from(String::from_utf8_lossy(text).as_ref()),
        other => {
            return Err(rusqlite::Error::InvalidColumnType(at, "a key or column".to_owned(), other.data_type()));
        }
    })
}

fn record(table: &Table, row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    let keys = table.key.len();
    let columns = keys + table.columns.len();
    Ok(StoredRecord {
        key: (0..keys).map(|at| cell(row, at)).collect::<Result<_, _>>()?,
        columns: (keys..columns).map(|at| cell(row, at)).collect::<Result<_, _>>()?,
        json: row.get_ref(columns)?.as_blob().map_err(rusqlite::Error::from)?.to_vec(),
    })
}

fn all_columns(table: &Table) -> String {
    let names: Vec<_> = table.key.iter().chain(table.columns).copied().collect();
    format!("{}, json", names.join(", "))
}

fn key_is(table: &Table) -> String {
    let conditions: Vec<_> =
        table.key.iter().enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
    conditions.join(" AND ")
}

/// The record with this key.
pub(crate) fn get(
    connection: &Connection,
    table: &Table,
    key: &Key,
) -> rusqlite::Result<Option<StoredRecord>> {
    let sql = format!("SELECT {} FROM {} WHERE {}", all_columns(table), table.name, key_is(table));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(key.iter().map(Bound)))?;
    rows.next()?.map(|row| record(table, row)).transpose()
}

fn condition(condition: &Condition, parameter: usize) -> String {
    let comparison = match condition.comparison {
        Comparison::Is => "IS",
        Comparison::IsNot => "IS NOT",
        Comparison::AtMost => "<=",
        Comparison::Above => ">",
        Comparison::Below => "<",
    };
    format!("{} {comparison} ?{parameter}", condition.column)
}

/// The condition of being behind a place in the order, whose values start at `first`.
fn behind(find: &Find, first: usize) -> String {
    let column = find.order_by;
    let further = if find.descending { "<" } else { ">" };
    let key = find.table.key.join(", ");
    let places: Vec<_> = (1..=find.table.key.len()).map(|at| format!("?{}", first + at)).collect();
    format!("({column} {further} ?{first} OR ({column} = ?{first} AND ({key}) > ({})))", places.join(", "))
}

/// The records that `find` selects.
pub(crate) fn find(connection: &Connection, find: &Find) -> rusqlite::Result<Vec<StoredRecord>> {
    let table = find.table;
    let mut conditions: Vec<_> =
        find.conditions.iter().enumerate().map(|(at, one)| condition(one, at + 1)).collect();
    let mut values: Vec<&Cell> = find.conditions.iter().map(|condition| &condition.value).collect();
    if let Some(place) = &find.after {
        conditions.push(behind(find, values.len() + 1));
        values.push(&place.sorted_by);
        values.extend(&place.key);
    }
    conditions.push("1".to_owned());
    let direction = if find.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {} {direction}, {} LIMIT {}",
        all_columns(table),
        table.name,
        conditions.join(" AND "),
        find.order_by,
        table.key.join(", "),
        find.limit,
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values.into_iter().map(Bound)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(table, row)?);
    }
    Ok(found)
}

/// Writes a record over whatever was there.
pub(crate) fn put(connection: &Connection, table: &Table, stored: &StoredRecord) -> rusqlite::Result<()> {
    let count = table.key.len() + table.columns.len() + 1;
    let parameters: Vec<_> = (1..=count).map(|at| format!("?{at}")).collect();
    let sql = format!(
        "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
        table.name,
        all_columns(table),
        parameters.join(", "),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let json = stored.json.as_slice();
    let cells = stored.key.iter().chain(&stored.columns);
    for (at, cell) in cells.enumerate() {
        statement.raw_bind_parameter(at + 1, Bound(cell))?;
    }
    statement.raw_bind_parameter(count, json)?;
    statement.raw_execute().map(|_| ())
}

/// Deletes the record with this key, if there is one.
pub(crate) fn delete(connection: &Connection, table: &Table, key: &Key) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {} WHERE {}", table.name, key_is(table));
    let mut statement = connection.prepare_cached(&sql)?;
    statement.execute(params_from_iter(key.iter().map(Bound))).map(|_| ())
}
