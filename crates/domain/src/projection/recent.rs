//! Bounded lists, newest first: they keep a projection the same size however long its log grows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;

/// The newest `MOST` of what happened, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct NewestFirst<T, const MOST: usize>(VecDeque<T>);

impl<T, const MOST: usize> Default for NewestFirst<T, MOST> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone, const MOST: usize> NewestFirst<T, MOST> {
    pub(super) fn prepend(&mut self, entry: T) {
        self.0.truncate(MOST - 1);
        self.0.push_front(entry);
    }

    pub(super) fn to_vec(&self) -> Vec<T> {
        self.0.iter().cloned().collect()
    }
}

/// An entry with an id and the time of its last change.
pub(super) trait Keyed: Clone {
    /// Its id.
    fn id(&self) -> &str;
    /// When it last changed.
    fn changed_at(&self) -> Timestamp;
}

/// The `MOST` entries that changed last, newest change first; of equally new ones, the one that was put last is first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct LastChanged<T, const MOST: usize>(Vec<T>);

impl<T, const MOST: usize> Default for LastChanged<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Keyed, const MOST: usize> LastChanged<T, MOST> {
    /// Removes an entry, to be changed and put back.
    pub(super) fn take(&mut self, id: &str) -> Option<T> {
        let at = self.0.iter().position(|known| known.id() == id)?;
        Some(self.0.remove(at))
    }

    /// Inserts an entry by its time; if there are too many, the one that changed longest ago is dropped.
    pub(super) fn put(&mut self, entry: T) {
        let at = self.0.partition_point(|known| known.changed_at() > entry.changed_at());
        self.0.insert(at, entry);
        self.0.truncate(MOST);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn to_vec(&self) -> Vec<T> {
        self.0.clone()
    }
}
