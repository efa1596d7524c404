//! Fills an empty store in one transaction: all of it, or nothing.

use std::path::Path;

use agentcafe_domain::kernel::{
    command::Heads,
    event::StoredEvent,
    record::{StoredRecord, Table},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    database, events,
    keys::Keys,
    open::{self, Directory, OpenError},
    records,
};
use crate::{
    commit::StoredKey,
    import::{Filled, GIVING_WAY, ImportError, Origin, Wrong, must_be_empty},
};

/// How many keys go in before the index is given some of them.
const KEYS_AT_ONCE: usize = 256;

/// A store that nobody else has, being filled. Unless it is finished, it stays empty.
pub(crate) struct ImportWriter {
    connection: Connection,
    keys: Keys,
    waiting_keys: usize,
    _directory: Directory,
}

impl ImportWriter {
    /// Opens the store in a directory, or makes it.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        let directory = Directory::claim(directory)?;
        let connection = open::open_writer(&directory.database)?;
        let failed = |error: rusqlite::Error| open::explain(&directory.database, &error);
        let keys = Keys::load(&connection).map_err(failed)?;
        Ok(Self { connection, keys, waiting_keys: 0, _directory: directory })
    }

    /// Counts as kept what is in the transaction; if that fails, this is dropped with it.
    fn index_keys(&mut self) -> rusqlite::Result<()> {
        self.waiting_keys = 0;
        self.keys.merge(&self.connection)?;
        self.keys.keep_batch();
        Ok(())
    }
}

impl Filled for ImportWriter {
    fn origin(&self) -> Result<Option<Origin>, ImportError> {
        let query = "SELECT sha256, imported_at_ms FROM import_origin";
        let origin = |row: &rusqlite::Row<'_>| {
            Ok(Origin { sha256: row.get(0)?, imported_at: Timestamp::from_millis(row.get(1)?) })
        };
        Ok(self.connection.query_row(query, [], origin).optional()?)
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
        let leave = GIVING_WAY.map(|table| format!("DELETE FROM {}", table.name)).join("; ");
        Ok(self.connection.execute_batch(&format!("BEGIN IMMEDIATE; {leave}"))?)
    }

    fn event(&mut self, _: u64, event: StoredEvent) -> Result<(), Wrong> {
        Ok(events::append(&self.connection, &event)?)
    }

    fn record(&mut self, _: u64, table: &'static Table, record: StoredRecord) -> Result<(), Wrong> {
        Ok(records::insert(&self.connection, table, &record)?)
    }

    fn key(&mut self, _: u64, key: StoredKey) -> Result<(), Wrong> {
        self.keys.append(&self.connection, &key)?;
        self.waiting_keys += 1;
        if self.waiting_keys >= KEYS_AT_ONCE {
            self.index_keys()?;
        }
        Ok(())
    }

    fn adapt(&mut self) -> Result<Heads, Wrong> {
        self.index_keys()?;
        Ok(database::heads(&self.connection).map(|(heads, _)| heads)?)
    }

    fn finish(self, origin: &Origin, heads: Heads) -> Result<(), ImportError> {
        self.connection.execute(
            "INSERT INTO import_origin (id, sha256, imported_at_ms, sequence, inbox_seq, audit_seq)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            params![
                origin.sha256,
                origin.imported_at.as_millis(),
                events::number(heads.sequence),
                events::number(heads.inbox),
                events::number(heads.audit),
            ],
        )?;
        self.connection.execute_batch("COMMIT")?;
        database::fold_in(&self.connection);
        Ok(())
    }
}
