//! Notifies those who cache records in memory that a commit batch of any node has written to a table.

use agentcafe_domain::kernel::{Table, WriteSet};
use agentcafe_domain::record_kinds::CACHED_IN_MEMORY;
use tokio::sync::watch;

/// How many commit batches of all nodes have written to each table in [`CACHED_IN_MEMORY`].
pub(crate) type TableVersions = [i64; CACHED_IN_MEMORY.len()];

/// The versions that this node has seen, each with its watchers.
#[derive(Default)]
pub(crate) struct TableChanges([watch::Sender<u64>; CACHED_IN_MEMORY.len()]);

impl TableChanges {
    /// Watches a table's version.
    pub(crate) fn watch(&self, table: &'static Table) -> watch::Receiver<u64> {
        self.0[index_of(table).expect("only tables in CACHED_IN_MEMORY have versions")].subscribe()
    }

    /// Notifies the watchers of each table whose version is newer than the one known.
    pub(crate) fn publish(&self, versions: &TableVersions) {
        for (known, version) in self.0.iter().zip(versions) {
            let version = version.unsigned_abs();
            known.send_if_modified(|known| {
                let is_newer = version > *known;
                *known = version.max(*known);
                is_newer
            });
        }
    }
}

/// The versions after a commit batch that wrote this.
pub(crate) fn versions_after(mut versions: TableVersions, written: &WriteSet) -> TableVersions {
    for index in written.tables().filter_map(|(table, _)| index_of(table)) {
        versions[index] += 1;
    }
    versions
}

fn index_of(table: &Table) -> Option<usize> {
    CACHED_IN_MEMORY.iter().position(|cached| *cached == table)
}
