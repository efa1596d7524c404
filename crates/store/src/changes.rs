//! Tells those who keep a picture of some records in memory that a turn has written such records.

use std::collections::HashMap;

use agentcafe_domain::{command::Written, record::Table};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The kinds of records that somebody watches, each with a number that grows.
#[derive(Default)]
pub(crate) struct Changes(Mutex<HashMap<&'static str, watch::Sender<u64>>>);

impl Changes {
    /// Watches a kind.
    pub(crate) fn watch(&self, table: &'static Table) -> watch::Receiver<u64> {
        self.0.lock().entry(table.name).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Tells that something may have been written to these tables, by another node.
    pub(crate) fn tell_of<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let watched = self.0.lock();
        for sender in names.filter_map(|name| watched.get(name)) {
            sender.send_modify(|number| *number += 1);
        }
    }

    /// Tells everybody: nobody knows what was missed.
    pub(crate) fn tell_all(&self) {
        self.0.lock().values().for_each(|sender| sender.send_modify(|number| *number += 1));
    }

    /// Tells that this was written.
    pub(crate) fn tell(&self, written: &Written) {
        let watched = self.0.lock();
        if watched.is_empty() {
            return;
        }
        for (table, _) in written.tables() {
            if let Some(sender) = watched.get(table.name) {
                sender.send_modify(|number| *number += 1);
            }
        }
    }
}
