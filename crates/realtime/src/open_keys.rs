//! The API keys of open streams: how many streams each has, and whether it still counts.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError, OperationError};
use agentcafe_domain::keys::Principal;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a client over the limit should wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;

/// The keys of open streams, by id.
pub(crate) struct OpenKeys {
    max_per_key: usize,
    open: Mutex<HashMap<Arc<str>, OpenKey>>,
}

struct OpenKey {
    streams: usize,
    /// Why the key's streams end.
    ended: watch::Sender<Option<Code>>,
}

/// The key of an open stream, counted until it is dropped. None of it for a client without a key.
pub(crate) struct StreamKey(Option<(Arc<OpenKeys>, Arc<str>, watch::Receiver<Option<Code>>)>);

impl OpenKeys {
    /// At most `max_per_key` streams of each key; 0: no limit.
    pub(crate) fn new(max_per_key: usize) -> Self {
        Self { max_per_key, open: Mutex::default() }
    }

    /// Counts one more stream of the client's key.
    ///
    /// # Errors
    /// `ERR_RATE_LIMITED {limit, retryAfterMs}`: the key has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, principal: &Principal) -> Result<StreamKey, OperationError> {
        let Some(binding) = principal.binding() else { return Ok(StreamKey(None)) };
        let key_id = Arc::clone(&binding.key_id);
        let mut open = self.open.lock();
        let new = || OpenKey { streams: 0, ended: watch::Sender::new(None) };
        let key = open.entry(Arc::clone(&key_id)).or_insert_with(new);
        if self.max_per_key > 0 && key.streams >= self.max_per_key {
            let max = self.max_per_key;
            return Err(DomainError::new(Code::RateLimited)
                .saying(format!("the key has {max} streams open (API_KEY_MAX_OPEN); close one first"))
                .with("limit", max)
                .with("retryAfterMs", RETRY_AFTER_MS)
                .into());
        }
        key.streams += 1;
        let ended = key.ended.subscribe();
        drop(open);
        Ok(StreamKey(Some((Arc::clone(self), key_id, ended))))
    }

    /// The ids of all keys with streams.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.open.lock().keys().map(|id| id.to_string()).collect()
    }

    /// Ends the streams of these keys.
    pub(crate) fn end(&self, ids: &[String], why: Code) {
        let mut open = self.open.lock();
        for key in ids.iter().filter_map(|id| open.remove(id.as_str())) {
            key.ended.send_replace(Some(why));
        }
    }
}

impl StreamKey {
    /// Checks that the key counts.
    ///
    /// # Errors
    /// Why the stream ends.
    pub(crate) fn check(&self) -> Result<(), Code> {
        let ended = self.0.as_ref().and_then(|(_, _, ended)| *ended.borrow());
        ended.map_or(Ok(()), Err)
    }

    /// Waits until the key counts no more.
    pub(crate) async fn ended(&mut self) {
        let Some((_, _, ended)) = &mut self.0 else { return pending().await };
        // An error means that the key was ended, and the reason was read.
        let _ = ended.changed().await;
    }
}

impl Drop for StreamKey {
    fn drop(&mut self) {
        let Some((keys, key_id, ended)) = &self.0 else { return };
        let mut open = keys.open.lock();
        // After the end of a key it may have been opened anew: that entry counts other streams.
        if ended.borrow().is_none()
            && let Some(key) = open.get_mut(key_id)
        {
            key.streams -= 1;
            if key.streams == 0 {
                open.remove(key_id);
            }
        }
    }
}
