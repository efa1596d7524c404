//! The statements of traces. Two tables take turns, so that deleting old traces costs a commit batch nothing. A tenant that has
//! many of them makes room for its own, so that it does not displace those of others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::LazyLock;

use agentcafe_domain::kernel::TenantId;
use rusqlite::Connection;

use super::connection::execute;
use super::records::insert_into;
use crate::envelope::TraceNote;
use crate::rows::{ATTEMPTS, Parameter};

/// How many attempts a table holds. At least as many of the newest are kept, and at most twice as many.
const GENERATION: usize = 20_000;
/// How many attempts of a tenant the current table holds while there are other tenants: past it, a new one replaces its oldest.
const TENANT_SHARE: usize = GENERATION / 4;
const TABLES: [&str; 2] = ["traces_even", "traces_odd"];

/// Where the next attempt is written.
#[derive(Default)]
pub(super) struct TraceTables {
    next_id: i64,
    /// The index of the table that is written.
    current: usize,
    /// How many attempts it holds, and their ids by tenant, the oldest first.
    rows: usize,
    of_tenants: HashMap<String, VecDeque<i64>>,
    /// The tenants in the other table.
    older: HashSet<String>,
    /// Whether the current commit batch has changed this, and whether one has failed since this was loaded.
    is_changed: bool,
    is_stale: bool,
}

impl TraceTables {
    /// Continues in the table that has the newest attempt.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = |table: &str| -> rusqlite::Result<Option<i64>> {
            connection.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| row.get(0))
        };
        let newest = [newest(TABLES[0])?, newest(TABLES[1])?];
        let current = usize::from(newest[1] > newest[0]);
        let next_id = newest[current].unwrap_or(0) + 1;
        let mut tables = Self { next_id, current, ..Self::default() };
        let mut known =
            connection.prepare(&format!("SELECT id, tenant_id FROM {} ORDER BY id", TABLES[current]))?;
        let mut rows = known.query([])?;
        while let Some(row) = rows.next()? {
            tables.of_tenants.entry(row.get(1)?).or_default().push_back(row.get(0)?);
            tables.rows += 1;
        }
        let mut older =
            connection.prepare(&format!("SELECT DISTINCT tenant_id FROM {}", TABLES[1 - current]))?;
        tables.older = older.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(tables)
    }

    /// Writes an attempt. The first of a generation empties its table, which holds the generation before the last.
    pub(super) fn append(&mut self, connection: &Connection, note: &TraceNote) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.is_stale) {
            *self = Self::load(connection)?;
        }
        self.is_changed = true;
        let id = self.next_id;
        self.next_id += 1;
        if let Some(oldest) = self.displaced(&note.origin.tenant_id) {
            connection.prepare_cached(DELETE[self.current])?.execute([oldest])?;
        } else {
            if self.rows >= GENERATION {
                self.current = 1 - self.current;
                connection.prepare_cached(EMPTY[self.current])?.execute([])?;
                self.older = std::mem::take(&mut self.of_tenants).into_keys().collect();
                self.rows = 0;
            }
            self.rows += 1;
        }
        self.add(&note.origin.tenant_id, id);
        let parameters = std::iter::once(Parameter::Integer(id)).chain((ATTEMPTS.values)(note));
        execute(connection, &INSERT[self.current], parameters)?;
        Ok(())
    }

    fn add(&mut self, tenant: &TenantId, id: i64) {
        match self.of_tenants.get_mut(tenant.as_str()) {
            Some(ids) => ids.push_back(id),
            None => drop(self.of_tenants.insert(tenant.as_str().to_owned(), VecDeque::from([id]))),
        }
    }

    /// The oldest attempt of a tenant that has its share, if there are others.
    fn displaced(&mut self, tenant: &TenantId) -> Option<i64> {
        let is_older = self.older.contains(tenant.as_str());
        let is_alone = self.of_tenants.len() <= 1 && self.older.len() <= usize::from(is_older);
        let ids = self.of_tenants.get_mut(tenant.as_str())?;
        if is_alone || ids.len() < TENANT_SHARE { None } else { ids.pop_front() }
    }

    /// The commit batch is committed: what it added counts.
    pub(super) fn keep_batch(&mut self) {
        self.is_changed = false;
    }

    /// The commit batch failed: nothing of it counts.
    pub(super) fn forget_batch(&mut self) {
        self.is_stale |= std::mem::take(&mut self.is_changed);
    }
}

const DELETE: [&str; 2] = ["DELETE FROM traces_even WHERE id = ?1", "DELETE FROM traces_odd WHERE id = ?1"];
const EMPTY: [&str; 2] = ["DELETE FROM traces_even", "DELETE FROM traces_odd"];

/// Inserts an attempt into each of the tables.
static INSERT: LazyLock<[String; 2]> = LazyLock::new(|| {
    let columns = format!("id, {}", ATTEMPTS.columns);
    TABLES.map(|table| insert_into(table, &columns, ATTEMPTS.types.len() + 1))
});
