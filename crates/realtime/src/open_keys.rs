//! The API keys of open streams: how many streams each has, and whether it still counts.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError, OperationError};
use agentcafe_domain::keys::Principal;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a client over the limit should wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;

/// What stands for the key of a client that needs none.
const NO_KEY: &str = "";

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

/// The key of an open stream, counted until it is dropped.
pub(crate) struct StreamKey {
    all: Arc<OpenKeys>,
    key_id: Arc<str>,
    ended: watch::Receiver<Option<Code>>,
}

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
        let key_id = principal.binding().map_or_else(|| NO_KEY.into(), |binding| Arc::clone(&binding.key_id));
        let is_limited = self.max_per_key > 0 && &*key_id != NO_KEY;
        let mut open = self.open.lock();
        let new = || OpenKey { streams: 0, ended: watch::Sender::new(None) };
        let key = open.entry(Arc::clone(&key_id)).or_insert_with(new);
        if is_limited && key.streams >= self.max_per_key {
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
        Ok(StreamKey { all: Arc::clone(self), key_id, ended })
    }

    /// The ids of all keys with streams.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.open.lock().keys().filter(|id| &***id != NO_KEY).map(|id| id.to_string()).collect()
    }

    /// Ends the streams of clients without a key: they need one now.
    pub(crate) fn end_without_key(&self) {
        self.end(&[NO_KEY.to_owned()], Code::Unauthorized);
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
        let ended = *self.ended.borrow();
        ended.map_or(Ok(()), Err)
    }

    /// Waits until the key counts no more.
    pub(crate) async fn ended(&mut self) {
        // An error means that the key was ended, and the reason was read.
        let _ = self.ended.changed().await;
    }
}

impl Drop for StreamKey {
    fn drop(&mut self) {
        let mut open = self.all.open.lock();
        // After the end of a key it may have been opened anew: that entry counts other streams.
        if self.ended.borrow().is_none()
            && let Some(key) = open.get_mut(&self.key_id)
        {
            key.streams -= 1;
            if key.streams == 0 {
                open.remove(&self.key_id);
            }
        }
    }
}
