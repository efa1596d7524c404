//! Tells those who keep a picture of some records in memory that a turn has written such records.

use std::collections::HashMap;

use agentcafe_domain::{
    kernel::{command::WriteSet, record::Table},
    record_kinds::CACHED_IN_MEMORY,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// How often each of the tables in [`CACHED_IN_MEMORY`] has been written to, by any node.
pub(crate) type Numbers = [i64; CACHED_IN_MEMORY.len()];

/// The kinds of records that somebody watches, each with a number that grows.
#[derive(Default)]
pub(crate) struct Changes(Mutex<Known>);

#[derive(Default)]
struct Known {
    watched: HashMap<&'static str, watch::Sender<u64>>,
    numbers: Numbers,
}

impl Known {
    fn tell(&self, table: &Table) {
        if let Some(sender) = self.watched.get(table.name) {
            sender.send_modify(|number| *number += 1);
        }
    }
}

impl Changes {
    /// Watches a kind.
    pub(crate) fn watch(&self, table: &'static Table) -> watch::Receiver<u64> {
        debug_assert!(CACHED_IN_MEMORY.contains(&table), "{} can be written to unnoticed", table.name);
        self.0.lock().watched.entry(table.name).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Tells that this was written.
    pub(crate) fn tell(&self, written: &WriteSet) {
        let known = self.0.lock();
        written.tables().for_each(|(table, _)| known.tell(table));
    }

    /// Tells of the tables that were written to, by whichever node, since the last time.
    pub(crate) fn learn(&self, numbers: &Numbers) {
        let mut known = self.0.lock();
        for (at, table) in CACHED_IN_MEMORY.iter().enumerate() {
            if numbers[at] > known.numbers[at] {
                known.numbers[at] = numbers[at];
                known.tell(table);
            }
        }
    }
}

/// What the numbers are once this was written, too.
pub(crate) fn counted(mut numbers: Numbers, written: &WriteSet) -> Numbers {
    for (table, _) in written.tables() {
        if let Some(at) = CACHED_IN_MEMORY.iter().position(|watched| *watched == table) {
            numbers[at] += 1;
        }
    }
    numbers
}
