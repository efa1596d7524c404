//! What a store holds at one moment, read a row at a time: one transaction that lasts as long as this does.

use agentcafe_domain::{command::Heads, record::Table};
use rusqlite::{Connection, params_from_iter};

use super::{database, keys};
use crate::{transfer::Part, turn::StoredKey};

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

    /// The last numbers given.
    pub(crate) fn heads(&self) -> rusqlite::Result<Heads> {
        database::heads(&self.connection).map(|(heads, _)| heads)
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

    fn each<E: From<rusqlite::Error>>(
        &self,
        sql: &str,
        values: &[&str],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            take(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        }
        Ok(())
    }

    /// Every event's JSON, in the order of the log.
    pub(crate) fn each_event<E: From<rusqlite::Error>>(
        &self,
        take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (conditions, values) = self.conditions(self.part.room.is_some());
        self.each(&format!("SELECT json FROM events WHERE {conditions} ORDER BY sequence"), &values, take)
    }

    /// The JSON of every record of a table, in the order of their keys.
    pub(crate) fn each_record<E: From<rusqlite::Error>>(
        &self,
        table: &Table,
        take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (conditions, values) = self.conditions(false);
        let (name, key) = (table.name, table.key.join(", "));
        self.each(&format!("SELECT json FROM {name} WHERE {conditions} ORDER BY {key}"), &values, take)
    }

    /// Every idempotency key, in the order they came.
    pub(crate) fn each_key<E: From<rusqlite::Error>>(
        &self,
        take: impl FnMut(StoredKey) -> Result<(), E>,
    ) -> Result<(), E> {
        keys::each(&self.connection, take)
    }
}
