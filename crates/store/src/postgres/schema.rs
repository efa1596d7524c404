//! The columns of the record tables, read from the database: parameters are sent with their types.

use std::collections::HashMap;

use agentcafe_domain::kernel::record::{Cell, Table};
use tokio_postgres::{Client, Error, types::ToSql};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) is_text: bool,
    pub(super) is_nullable: bool,
}

/// The columns of all tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema(HashMap<String, HashMap<String, Column>>);

impl Schema {
    /// Reads the columns of the current schema.
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let rows = client
            .query(
                "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
                 WHERE table_schema = current_schema()",
                &[],
            )
            .await?;
        let mut schema = Self::default();
        for row in rows {
            let (table, name, kind, nullable): (String, String, String, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let column = Column { is_text: kind == "text", is_nullable: nullable == "YES" };
            schema.0.entry(table).or_default().insert(name, column);
        }
        Ok(schema)
    }

    /// A column of a table that a migration created.
    pub(super) fn column(&self, table: &Table, name: &str) -> Column {
        let known = self.0.get(table.name).and_then(|columns| columns.get(name));
        *known.unwrap_or_else(|| panic!("{}.{name} is in no migration", table.name))
    }
}

/// A column of many rows, as one parameter.
pub(super) enum Array {
    Texts(Vec<Option<String>>),
    Integers(Vec<Option<i64>>),
}

impl Array {
    /// The cells of one column.
    pub(super) fn new<'c>(column: Column, cells: impl Iterator<Item = &'c Cell>) -> Self {
        if column.is_text {
            Self::Texts(cells.map(text).collect())
        } else {
            Self::Integers(cells.map(integer).collect())
        }
    }

    pub(super) fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Texts(texts) => texts,
            Self::Integers(integers) => integers,
        }
    }

    /// The type's name in SQL.
    pub(super) const fn sql_type(column: Column) -> &'static str {
        if column.is_text { "text[]" } else { "bigint[]" }
    }
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.as_ref().to_owned()),
        Cell::Integer(_) | Cell::Null => None,
    }
}

fn integer(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Integer(number) => Some(*number),
        Cell::Text(_) | Cell::Null => None,
    }
}

/// One cell as a parameter.
pub(super) enum Parameter {
    Text(Option<String>),
    Integer(Option<i64>),
}

impl Parameter {
    pub(super) fn new(column: Column, cell: &Cell) -> Self {
        if column.is_text { Self::Text(text(cell)) } else { Self::Integer(integer(cell)) }
    }

    pub(super) fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(text) => text,
            Self::Integer(integer) => integer,
        }
    }
}
