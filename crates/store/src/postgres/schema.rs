//! The columns of the record tables, read from the database: parameters are sent with their types.

use std::collections::HashMap;

use agentcafe_domain::kernel::Table;
use tokio_postgres::{Client, Error};

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

impl Column {
    /// The name of the type of many such cells.
    pub(super) const fn array_type(self) -> &'static str {
        if self.is_text { "text[]" } else { "bigint[]" }
    }
}
