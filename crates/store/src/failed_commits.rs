//! Whether commit batches with events could not be written lately. A write of another kind may succeed all the same: it may fit
//! on a full disk, or need no table that is damaged.

use std::time::Duration;

use parking_lot::Mutex;

/// How long a failure counts, unless a batch with events is committed: without requests, nothing else ends it.
const COUNTS_FOR: Duration = Duration::from_secs(5);

/// When a commit batch last failed, since the last one with events that was committed.
#[derive(Default)]
pub(crate) struct FailedCommits(Mutex<Option<Duration>>);

impl FailedCommits {
    /// Records that a batch with commands failed.
    pub(crate) fn add(&self, now: Duration) {
        *self.0.lock() = Some(now);
    }

    /// Records that a batch with events was committed.
    pub(crate) fn clear(&self) {
        self.0.lock().take();
    }

    /// Whether one failed lately.
    pub(crate) fn is_recent(&self, now: Duration) -> bool {
        self.0.lock().is_some_and(|at| now.saturating_sub(at) < COUNTS_FOR)
    }
}
