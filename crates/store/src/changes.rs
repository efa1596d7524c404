//! Tells those who keep copies of records when a table was written to.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

/// The tables that somebody watches, and how often each was written to since.
#[derive(Default)]
pub(crate) struct Changes(Mutex<HashMap<&'static str, watch::Sender<u64>>>);

impl Changes {
    /// Watches a table.
    pub(crate) fn watch(&self, table: &'static str) -> watch::Receiver<u64> {
        self.0.lock().entry(table).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Tells those who watch these tables.
    pub(crate) fn tell(&self, tables: impl Iterator<Item = &'static str>) {
        let watched = self.0.lock();
        for table in tables {
            if let Some(sender) = watched.get(table) {
                sender.send_modify(|writes| *writes += 1);
            }
        }
    }
}
