//! The statements of traces. Two tables take turns, so that deleting old traces costs a commit batch nothing.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::connection::execute;
use super::records::insert_into;
use crate::envelope::TraceNote;
use crate::rows::{ATTEMPTS, Parameter};

/// How many attempts a table holds. At least as many of the newest are kept, and at most twice as many.
const GENERATION: i64 = 20_000;

/// Where the next attempt is written.
pub(super) struct TraceTables {
    next_id: i64,
    /// How many the current commit batch has added; forgotten if it fails.
    added: i64,
}

impl TraceTables {
    /// Continues after the newest attempt.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = |table: &str| -> rusqlite::Result<Option<i64>> {
            connection.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| row.get(0))
        };
        let newest = newest("traces_even")?.max(newest("traces_odd")?);
        Ok(Self { next_id: newest.unwrap_or(0) + 1, added: 0 })
    }

    /// Writes an attempt. The first of a generation empties its table, which holds the generation before the last.
    pub(super) fn append(&mut self, connection: &Connection, note: &TraceNote) -> rusqlite::Result<()> {
        let id = self.next_id + self.added;
        let is_even = (id / GENERATION) % 2 == 0;
        if id % GENERATION == 0 {
            let empty = if is_even { "DELETE FROM traces_even" } else { "DELETE FROM traces_odd" };
            connection.prepare_cached(empty)?.execute([])?;
        }
        let insert = if is_even { &INSERT[0] } else { &INSERT[1] };
        let parameters = std::iter::once(Parameter::Integer(id)).chain((ATTEMPTS.values)(note));
        execute(connection, insert, parameters)?;
        self.added += 1;
        Ok(())
    }

    /// The commit batch is committed: what it added counts.
    pub(super) fn keep_batch(&mut self) {
        self.next_id += std::mem::take(&mut self.added);
    }

    /// The commit batch failed: nothing of it counts.
    pub(super) fn forget_batch(&mut self) {
        self.added = 0;
    }
}

/// Inserts an attempt into each of the tables.
static INSERT: LazyLock<[String; 2]> = LazyLock::new(|| {
    let columns = format!("id, {}", ATTEMPTS.columns);
    ["traces_even", "traces_odd"].map(|table| insert_into(table, &columns, ATTEMPTS.types.len() + 1))
});
