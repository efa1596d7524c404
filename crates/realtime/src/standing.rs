//! How it stands with the source: what health documents and metrics tell of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// How it stands with the source.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    is_connected: AtomicBool,
    connections: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Standing {
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// How often the connection was made again, whyever it had ended.
    pub(crate) fn reconnects(&self) -> u64 {
        self.connections.load(Ordering::Relaxed).saturating_sub(1)
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.is_connected.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self, why: String) {
        if self.is_connected.swap(false, Ordering::Relaxed) || self.last_error.lock().as_ref() != Some(&why) {
            tracing::warn!(why, "the source is not connected");
        }
        *self.last_error.lock() = Some(why);
    }
}
