//! The write side on SQLite: a commit batch is one transaction on the connection that writes.

use std::io;
use std::sync::Arc;

use agentcafe_domain::kernel::{Clock, ClockAnchor, Heads, LoadedRecords, Query, Record, Timestamp};
use agentcafe_eventlog::{LogPosition, RecentEvents};
use rusqlite::Connection;

use super::connection::now;
use super::high_water_mark::MarkWriter;
use super::idempotency_keys::{self, IdempotencyKeys};
use super::open::DataDirectory;
use super::open_files::OpenFiles;
use super::reader::SqliteReader;
use super::search_index::SqliteIndex;
use super::{events, records, traces};
use crate::commit::{MissingReads, Writes};
use crate::reads::select_records;
use crate::sql::sequence;
use crate::steady_clock::SteadyClock;
use crate::storage::{BegunTransaction, Committed, LoadedBatch, LogHead, Maintenance, Storage, Transaction};
use crate::storage_error::StorageError;

/// The state that the last commit batch left, as far as it is in the tables.
pub(super) fn log_head(connection: &Connection) -> rusqlite::Result<LogHead> {
    let (last_event, at) = events::head(connection)?;
    let last = |query| -> rusqlite::Result<_> {
        let last: Option<i64> = connection.query_row(query, [], |row| row.get(0))?;
        Ok(sequence(last.unwrap_or_default()))
    };
    // After an import the last number may have been assigned in the store that the records came from.
    let heads = Heads {
        sequence: last_event,
        inbox: last("SELECT max(inbox_seq) FROM inbox_items")?
            .max(last("SELECT max(inbox_seq) FROM import_origin")?),
        audit: last("SELECT max(audit_seq) FROM audit_entries")?
            .max(last("SELECT max(audit_seq) FROM import_origin")?),
    };
    Ok(LogHead { heads, at, ..LogHead::default() })
}

/// The anchor of this boot of the machine; none if there is none that can be read.
fn clock_anchor(connection: &Connection, clock: &dyn Clock) -> Option<ClockAnchor> {
    let key = ClockAnchor::key_of(clock.boot_id()?);
    records::get(connection, ClockAnchor::TABLE, &key).ok()??.read().ok()
}

/// Moves the write-ahead log into the database file.
pub(super) fn checkpoint(connection: &Connection) {
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the write-ahead log was not checkpointed; the next start does it");
    }
}

/// The connection that writes, and what it keeps in memory.
pub(crate) struct SqliteStorage {
    connection: Connection,
    keys: IdempotencyKeys,
    traces: traces::TraceTables,
    clock: Arc<SteadyClock>,
    head: LogHead,
    /// Keeps the directory's lock.
    directory: DataDirectory,
    files: OpenFiles,
    mark: Option<MarkWriter>,
}

impl SqliteStorage {
    /// Continues where the store was left. What is read for that goes through `reader`, not through the writer's cache.
    pub(super) fn load(
        connection: Connection,
        reader: &Connection,
        wall: Arc<dyn Clock>,
        directory: DataDirectory,
    ) -> rusqlite::Result<Self> {
        let (keys, traces) = (IdempotencyKeys::load(reader)?, traces::TraceTables::load(reader)?);
        let head = log_head(&connection)?;
        let anchor = clock_anchor(reader, wall.as_ref());
        let clock = Arc::new(SteadyClock::new(wall, anchor.as_ref(), head.at));
        let files = OpenFiles::new(&directory.database);
        Ok(Self { connection, keys, traces, clock, head, directory, files, mark: None })
    }

    /// Keeps the high-water mark of the log from now on.
    pub(super) fn keep_mark(
        &mut self,
        position: LogPosition,
        recent_events: &Arc<RecentEvents>,
    ) -> io::Result<()> {
        let writer = MarkWriter::start(&self.directory.database, position, Arc::clone(recent_events))?;
        self.mark = Some(writer);
        Ok(())
    }

    /// The time of the store.
    pub(super) fn clock(&self) -> Arc<SteadyClock> {
        Arc::clone(&self.clock)
    }

    /// The state that the last commit batch left.
    pub(super) const fn head(&self) -> &LogHead {
        &self.head
    }

    fn load_needs(&self, needs: MissingReads) -> Result<LoadedBatch, StorageError> {
        let mut found =
            LoadedBatch { records: LoadedRecords::with_capacity(needs.queries.len()), keys: Vec::new() };
        for query in needs.queries {
            let records = match &query {
                Query::One(table, key) => records::get(&self.connection, table, key)?.into_iter().collect(),
                Query::Many(query) => now(select_records(&self.connection, query, usize::MAX))?.0,
            };
            found.records.insert(query, records);
        }
        for identity in needs.keys {
            found.keys.extend(self.keys.get(&self.connection, identity)?);
        }
        Ok(found)
    }

    fn write(&mut self, writes: &Writes) -> rusqlite::Result<()> {
        for event in &writes.events {
            events::append(&self.connection, event)?;
        }
        for (table, written) in writes.records.tables() {
            for (key, record) in written {
                match record {
                    Some(record) => records::put(&self.connection, table, record)?,
                    None => records::delete(&self.connection, table, key)?,
                }
            }
        }
        for key in &writes.keys {
            self.keys.append(&self.connection, key)?;
        }
        self.keys.merge(&self.connection)
    }

    /// Writes something, to see whether the database accepts writes.
    fn probe(&self, now: Timestamp) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO write_probe (id, at_ms) VALUES (1, ?1)")?
            .execute([now.as_millis()])?;
        Ok(())
    }
}

impl Storage for SqliteStorage {
    type Reader = SqliteReader;
    type Index = SqliteIndex;
    type Transaction<'s> = SqliteTransaction<'s>;

    async fn begin(
        &mut self,
        needs: MissingReads,
    ) -> Result<BegunTransaction<SqliteTransaction<'_>>, StorageError> {
        let head = LogHead { at: self.clock.now_after(self.head.at), ..self.head };
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let transaction = SqliteTransaction { storage: self, is_committed: false };
        let found = transaction.storage.load_needs(needs)?;
        Ok(BegunTransaction { transaction, head, found })
    }

    async fn close(self) {
        checkpoint(&self.connection);
        if let Some(mark) = self.mark {
            mark.stop();
        }
        tracing::debug!(database = ?self.directory.database, "closed");
    }
}

/// A transaction on the connection that writes.
pub(crate) struct SqliteTransaction<'s> {
    storage: &'s mut SqliteStorage,
    is_committed: bool,
}

impl Transaction for SqliteTransaction<'_> {
    async fn load(&mut self, needs: MissingReads) -> Result<LoadedBatch, StorageError> {
        self.storage.load_needs(needs)
    }

    async fn commit(
        mut self,
        writes: &Writes,
        head: &LogHead,
        maintenance: &Maintenance<'_>,
    ) -> Result<Committed, StorageError> {
        self.storage.write(writes)?;
        let SqliteStorage { connection, traces, .. } = &mut *self.storage;
        for note in writes.traces.iter().chain(maintenance.notes) {
            traces.append(connection, note)?;
        }
        if maintenance.probe {
            self.storage.probe(head.at)?;
        }
        let connection = &self.storage.connection;
        let more_to_purge = maintenance.purge && idempotency_keys::purge(connection, head.at)?;
        self.storage.files.check()?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        self.is_committed = true;
        self.storage.head = *head;
        Ok(Committed { more_to_purge, round_trips: 0 })
    }
}

impl Drop for SqliteTransaction<'_> {
    fn drop(&mut self) {
        let SqliteStorage { connection, keys, traces, .. } = &mut *self.storage;
        if self.is_committed {
            keys.keep_batch();
            traces.keep_batch();
        } else {
            // After some errors SQLite has rolled back already; then there is nothing to undo.
            let _ = connection.execute_batch("ROLLBACK");
            keys.forget_batch();
            traces.forget_batch();
        }
    }
}
