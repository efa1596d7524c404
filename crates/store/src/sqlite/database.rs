//! The writer's side of the database: runs a turn in one transaction, all or nothing.

use agentcafe_domain::kernel::{
    command::{Heads, LoadedRecords},
    ids::Sequence,
    record::Query,
    time::Timestamp,
};
use rusqlite::Connection;

use super::{
    events,
    keys::{self, Keys},
    records,
    traces::Traces,
};
use crate::{
    commit::{CommitBatch, Needs, StoredKey, Writes},
    envelope::TraceNote,
};

/// What is done in a turn's transaction beside its commands.
pub(crate) struct Extra<'b> {
    /// Traces of requests that ended before their turn.
    pub(crate) notes: &'b [TraceNote],
    /// Whether somebody wants to know if the store takes writes.
    pub(crate) probing: bool,
    /// Whether to delete what is no longer needed.
    pub(crate) purging: bool,
}

/// The last numbers given, and the last event's moment.
pub(crate) fn heads(connection: &Connection) -> rusqlite::Result<(Heads, Timestamp)> {
    let (sequence, last_at) = events::head(connection)?;
    let last = |query| -> rusqlite::Result<Sequence> {
        let last: Option<i64> = connection.query_row(query, [], |row| row.get(0))?;
        Ok(Sequence(last.unwrap_or_default().unsigned_abs()))
    };
    // After an import the last number may have been given where the records came from.
    let heads = Heads {
        sequence,
        inbox: last("SELECT max(inbox_seq) FROM inbox_items")?
            .max(last("SELECT max(inbox_seq) FROM import_origin")?),
        audit: last("SELECT max(audit_seq) FROM audit_entries")?
            .max(last("SELECT max(audit_seq) FROM import_origin")?),
    };
    Ok((heads, last_at))
}

/// The connection that writes, and what it keeps in memory beside it.
pub(crate) struct Database {
    connection: Connection,
    keys: Keys,
    traces: Traces,
}

impl Database {
    /// Goes on where the store was left. What is read for that goes through `reader`, not through the writer's cache.
    pub(crate) fn load(connection: Connection, reader: &Connection) -> rusqlite::Result<Self> {
        let (keys, traces) = (Keys::load(reader)?, Traces::load(reader)?);
        Ok(Self { connection, keys, traces })
    }

    /// The last numbers given, and the last event's moment.
    pub(crate) fn heads(&self) -> rusqlite::Result<(Heads, Timestamp)> {
        heads(&self.connection)
    }

    /// Runs a turn in one transaction. Tells whether there is more to purge.
    ///
    /// # Errors
    /// Nothing of the turn was written.
    pub(crate) fn write_batch(
        &mut self,
        batch: &mut CommitBatch<'_>,
        needs: Needs,
        extra: &Extra<'_>,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        let written = self.run(batch, needs, extra, now);
        if written.is_ok() {
            self.keys.keep_batch();
            self.traces.keep_batch();
        } else {
            // The connection may still be inside the transaction; if it is not, there is nothing to undo.
            let _ = self.connection.execute_batch("ROLLBACK");
            self.keys.forget_batch();
            self.traces.forget_batch();
        }
        written
    }

    fn run(
        &mut self,
        batch: &mut CommitBatch<'_>,
        mut needs: Needs,
        extra: &Extra<'_>,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        loop {
            let (loaded, known) = self.load_needs(needs)?;
            batch.supply(loaded, known);
            needs = batch.decide();
            if needs.is_empty() {
                break;
            }
        }
        self.write(batch.writes())?;
        extra.notes.iter().try_for_each(|note| self.traces.append(&self.connection, note))?;
        if extra.probing {
            self.probe(now)?;
        }
        let more = extra.purging && keys::purge(&self.connection, now)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(more)
    }

    fn load_needs(&self, needs: Needs) -> rusqlite::Result<(LoadedRecords, Vec<StoredKey>)> {
        let mut loaded = LoadedRecords::with_capacity(needs.queries.len());
        for query in needs.queries {
            let found = match &query {
                Query::One(table, key) => records::get(&self.connection, table, key)?.into_iter().collect(),
                Query::Many(find) => records::find(&self.connection, find)?,
            };
            loaded.insert(query, found);
        }
        let mut known = Vec::new();
        for identity in needs.keys {
            known.extend(self.keys.get(&self.connection, identity)?);
        }
        Ok((loaded, known))
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
        self.keys.merge(&self.connection)?;
        writes.traces.iter().try_for_each(|note| self.traces.append(&self.connection, note))
    }

    /// Writes something, to see whether the store takes writes.
    fn probe(&self, now: Timestamp) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO write_probe (id, at_ms) VALUES (1, ?1)")?
            .execute([now.as_millis()])?;
        Ok(())
    }

    /// Folds the write-ahead log into the database file, at the end.
    pub(crate) fn fold_in(&self) {
        fold_in(&self.connection);
    }
}

/// Folds the write-ahead log into the database file.
pub(crate) fn fold_in(connection: &Connection) {
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the write-ahead log was not folded in; the next start does it");
    }
}
