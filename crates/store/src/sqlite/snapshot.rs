//! What a store holds at one moment, read a row at a time: one transaction that lasts as long as this does.

use agentcafe_domain::kernel::{command::Heads, record::Table};
use rusqlite::{Connection, params_from_iter};

use super::{database, keys};
use crate::{
    commit::StoredKey,
    export::{ExportError, Source},
    transfer::Part,
};

/// A store, or a part of it, at one moment.
pub(crate) struct Snapshot {
    connection: Connection,
    part: Part,
}

impl Snapshot {
    /// What `connection` sees now.
    pub(crate) fn take(connection: Connection, part: Part) -> rusqlite::Result<Self> {
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection, part })
    }

    /// The part's conditions, and what they compare to. Without `by_index` they choose no index: rows then come in the order
    /// of their key without being sorted, which would take memory.
    fn conditions(&self, by_index: bool) -> (String, Vec<&str>) {
        let Part { tenant, room } = &self.part;
        let columns = [
            ("tenant_id", tenant.as_ref().map(|id| id.as_str())),
            ("room_id", room.as_ref().map(|id| id.as_str())),
        ];
        let (mut conditions, mut values) = ("1".to_owned(), Vec::new());
        for (column, value) in columns {
            if let Some(value) = value {
                let column = if by_index { column.to_owned() } else { format!("+{column}") };
                conditions.push_str(&format!(" AND {column} = ?"));
                values.push(value);
            }
        }
        (conditions, values)
    }

    fn each(
        &self,
        sql: &str,
        values: &[&str],
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            take(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        }
        Ok(())
    }
}

impl Source for Snapshot {
    fn heads(&self) -> Result<Heads, ExportError> {
        Ok(database::heads(&self.connection).map(|(heads, _)| heads)?)
    }

    fn each_event(&self, take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>) -> Result<(), ExportError> {
        let (conditions, values) = self.conditions(self.part.room.is_some());
        self.each(&format!("SELECT json FROM events WHERE {conditions} ORDER BY sequence"), &values, take)
    }

    fn each_record(
        &self,
        table: &Table,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let (conditions, values) = self.conditions(false);
        let (name, key) = (table.name, table.key.join(", "));
        self.each(&format!("SELECT json FROM {name} WHERE {conditions} ORDER BY {key}"), &values, take)
    }

    fn each_key(
        &self,
        take: &mut dyn FnMut(StoredKey) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        keys::each(&self.connection, take)
    }
}
