//! Imports into an empty store in one transaction.

use std::path::Path;

use agentcafe_domain::kernel::{Heads, StoredEvent, StoredRecord, Table, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::idempotency_keys::IdempotencyKeys;
use super::open::{self, DataDirectory};
use super::storage::{checkpoint, log_head};
use super::{events, records};
use crate::import::{ImportError, ImportTarget, LineError, PreviousImport, REPLACED_TABLES, must_be_empty};
use crate::open_error::OpenError;
use crate::sql::number;
use crate::storage::StoredKey;

/// How many keys are written before some of them are merged into the index.
const KEYS_AT_ONCE: usize = 256;

/// A store that no other process uses. Unless the import is finished, it stays empty.
pub(crate) struct SqliteImport {
    connection: Connection,
    keys: IdempotencyKeys,
    unmerged_keys: usize,
    _directory: DataDirectory,
}

impl SqliteImport {
    /// Opens the store in a directory, or creates it.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        let directory = DataDirectory::lock(directory)?;
        let connection = open::open_writer(&directory.database)?;
        let failed = |error: rusqlite::Error| open::explain(&directory.database, &error);
        let keys = IdempotencyKeys::load(&connection).map_err(failed)?;
        Ok(Self { connection, keys, unmerged_keys: 0, _directory: directory })
    }

    /// Merges keys into the index. What is in the transaction counts as committed: if it fails, this is dropped, too.
    fn merge_keys(&mut self) -> rusqlite::Result<()> {
        self.unmerged_keys = 0;
        self.keys.merge(&self.connection)?;
        self.keys.keep_batch();
        Ok(())
    }
}

impl ImportTarget for SqliteImport {
    fn previous(&self) -> Result<Option<PreviousImport>, ImportError> {
        let query = "SELECT sha256, imported_at_ms FROM import_origin";
        let previous = |row: &rusqlite::Row<'_>| {
            Ok(PreviousImport { sha256: row.get(0)?, imported_at: Timestamp::from_millis(row.get(1)?) })
        };
        Ok(self.connection.query_row(query, [], previous).optional()?)
    }

    fn is_empty(&self) -> Result<bool, ImportError> {
        for table in must_be_empty() {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
            if self.connection.query_row(&sql, [], |row| row.get(0))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), ImportError> {
        let delete = REPLACED_TABLES.map(|table| format!("DELETE FROM {}", table.name)).join("; ");
        Ok(self.connection.execute_batch(&format!("BEGIN IMMEDIATE; {delete}"))?)
    }

    fn event(&mut self, _: u64, event: StoredEvent) -> Result<(), LineError> {
        Ok(events::append(&self.connection, &event)?)
    }

    fn record(&mut self, _: u64, table: &'static Table, record: StoredRecord) -> Result<(), LineError> {
        Ok(records::insert(&self.connection, table, &record)?)
    }

    fn key(&mut self, _: u64, key: StoredKey) -> Result<(), LineError> {
        self.keys.append(&self.connection, &key)?;
        self.unmerged_keys += 1;
        if self.unmerged_keys >= KEYS_AT_ONCE {
            self.merge_keys()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Heads, LineError> {
        self.merge_keys()?;
        Ok(log_head(&self.connection)?.heads)
    }

    fn finish(self, import: &PreviousImport, heads: Heads) -> Result<(), ImportError> {
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
        self.connection.execute_batch("COMMIT")?;
        checkpoint(&self.connection);
        Ok(())
    }
}
