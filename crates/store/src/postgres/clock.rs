//! The time of all nodes: that of the database, by which each node corrects its own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Timestamp};

/// Smaller differences need no correction.
const MIN_CHANGE: Duration = Duration::from_millis(100);

/// Whose clock gives a commit batch its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The node's own: for tests, which set it.
    Node,
    /// That of the database, which all nodes share.
    Database,
}

/// A node's clock, corrected by the last known time of the database.
pub(crate) struct SharedClock {
    own: Arc<dyn Clock>,
    source: TimeSource,
    /// By how much the database is ahead, in milliseconds.
    offset_ms: AtomicI64,
}

impl SharedClock {
    pub(super) fn new(own: Arc<dyn Clock>, source: TimeSource) -> Self {
        Self { own, source, offset_ms: AtomicI64::new(0) }
    }

    /// Corrects the clock by the time of the database, which was asked for when the stopwatch showed `asked_at`. What the time that
    /// the answer took explains is no difference.
    pub(super) fn learn(&self, database_now: Timestamp, asked_at: Duration) {
        if self.source == TimeSource::Node {
            return;
        }
        let took = self.own.stopwatch().saturating_sub(asked_at);
        let measured = database_now.as_millis() - self.own.now().as_millis();
        let change = measured.abs_diff(self.offset_ms.load(Ordering::Relaxed));
        if u128::from(change) > took.max(MIN_CHANGE).as_millis() {
            self.offset_ms.store(measured, Ordering::Relaxed);
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.own.now().plus_ms(self.offset_ms.load(Ordering::Relaxed))
    }

    fn stopwatch(&self) -> Duration {
        self.own.stopwatch()
    }

    fn boot_id(&self) -> Option<&str> {
        self.own.boot_id()
    }
}
