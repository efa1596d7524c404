//! Reads what a store holds at one moment, a row at a time: one transaction that lasts as long as this does.

use agentcafe_domain::kernel::Heads;
use rusqlite::{Connection, params_from_iter};

use super::idempotency_keys;
use super::storage::log_head;
use crate::export::{ExportError, Snapshot};
use crate::export_format::ExportScope;
use crate::sql::scope_conditions;
use crate::storage::StoredKey;

/// A store, or a part of it, at one moment.
pub(crate) struct SqliteSnapshot {
    connection: Connection,
    scope: ExportScope,
}

impl SqliteSnapshot {
    /// What `connection` reads now.
    pub(crate) fn take(connection: Connection, scope: ExportScope) -> rusqlite::Result<Self> {
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection, scope })
    }
}

impl Snapshot for SqliteSnapshot {
    fn heads(&self) -> Result<Heads, ExportError> {
        Ok(log_head(&self.connection)?.heads)
    }

    fn each_json(
        &self,
        table: &str,
        order_by: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        // The plus keeps SQLite from using an index on the column: rows then come in the order of their key without a sort,
        // which would take memory. The index of the log by room is in the order of sequences.
        let plus = if table == "events" && self.scope.room.is_some() { "" } else { "+" };
        let (mut conditions, mut values) = ("1".to_owned(), Vec::new());
        for (column, value) in scope_conditions(&self.scope) {
            conditions.push_str(&format!(" AND {plus}{column} = ?"));
            values.push(value);
        }
        let sql = format!("SELECT json FROM {table} WHERE {conditions} ORDER BY {order_by}");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            take(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        }
        Ok(())
    }

    fn each_key(
        &self,
        take: &mut dyn FnMut(StoredKey) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        idempotency_keys::each(&self.connection, take)
    }
}
