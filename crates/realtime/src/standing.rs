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

    /// The reason is known before it is known that the connection is lost.
    pub(crate) fn lost(&self, why: String) {
        let is_news = self.last_error.lock().replace(why.clone()).as_ref() != Some(&why);
        if self.is_connected.swap(false, Ordering::Relaxed) || is_news {
            tracing::warn!(why, "the source is not connected");
        }
    }
}
