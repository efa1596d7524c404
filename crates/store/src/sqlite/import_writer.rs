//! Imports into an empty store in one transaction.

use std::path::Path;

use agentcafe_domain::kernel::{Heads, Table, Timestamp};
use agentcafe_eventlog::LogPosition;
use rusqlite::{Connection, params};

use super::idempotency_keys::IdempotencyKeys;
use super::open::{self, DataDirectory};
use super::storage::checkpoint;
use super::{events, high_water_mark, log_identity, records};
use crate::open_error::OpenError;
use crate::sql::number;
use crate::storage::{BlockingConnection, ImportRow, ImportTarget, PreviousImport};
use crate::storage_error::StorageError;

/// A store that no other process uses. Unless the import is finished, it stays empty.
pub(crate) struct SqliteImport {
    connection: Connection,
    keys: IdempotencyKeys,
    directory: DataDirectory,
}

impl SqliteImport {
    /// Opens the store in a directory, or creates it.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        let directory = DataDirectory::lock(directory)?;
        let connection = open::open_writer(&directory.database)?;
        let failed = |error: rusqlite::Error| open::explain(&directory.database, &error);
        let keys = IdempotencyKeys::load(&connection).map_err(failed)?;
        Ok(Self { connection, keys, directory })
    }

    fn write_row(&mut self, row: &ImportRow) -> rusqlite::Result<()> {
        match row {
            ImportRow::Event(event) => events::append(&self.connection, event),
            ImportRow::Record(table, record) => records::insert(&self.connection, table, record),
            ImportRow::Key(key) => self.keys.append(&self.connection, key),
        }
    }
}

impl BlockingConnection for SqliteImport {
    type Connection = Connection;

    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.connection.wait(answer)
    }
}

impl ImportTarget for SqliteImport {
    fn begin(&mut self, replaced: &[&Table]) -> Result<(), StorageError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for table in replaced {
            self.connection.execute(&format!("DELETE FROM {}", table.name), [])?;
        }
        Ok(())
    }

    fn write(&mut self, rows: &[ImportRow]) -> Result<(), (usize, StorageError)> {
        for (at, row) in rows.iter().enumerate() {
            self.write_row(row).map_err(|error| (at, error.into()))?;
        }
        // What is in the transaction counts as committed: if it fails, this is dropped, too.
        self.keys.merge(&self.connection).map_err(|error| (0, error.into()))?;
        self.keys.keep_batch();
        Ok(())
    }

    fn finish(self, import: &PreviousImport, heads: Heads, _: Timestamp) -> Result<(), StorageError> {
        self.connection.execute(
            "INSERT INTO import_origin (id, sha256, imported_at_ms, sequence, inbox_seq, audit_seq)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            params![
                import.sha256,
                import.imported_at.as_millis(),
                number(heads.sequence),
                number(heads.inbox),
                number(heads.audit),
            ],
        )?;
        log_identity::begin_epoch(&self.connection)?;
        let log_id = log_identity::log_id(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        checkpoint(&self.connection);
        high_water_mark::write(&self.directory.database, &LogPosition { head: heads.sequence, log_id });
        Ok(())
    }
}
