//! The API keys of what stays open: how many streams and waiting polls each has, and whether it still counts.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError, OperationError};
use agentcafe_domain::keys::Principal;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a caller over the limit should wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;

/// What stands for the key of a caller that needs none.
const NO_KEY: &str = "";

/// The keys of what stays open, by the id of the credential: each secret of a key counts for itself.
pub struct OpenKeys {
    max_per_key: usize,
    open: Mutex<HashMap<Arc<str>, KeyState>>,
}

struct KeyState {
    open: usize,
    /// Why what is open of it ends.
    ended: watch::Sender<Option<Code>>,
}

/// One thing that is open, counted for its key until it is dropped.
pub struct OpenKey {
    all: Arc<OpenKeys>,
    credential_id: Arc<str>,
    ended: watch::Receiver<Option<Code>>,
}

impl OpenKeys {
    /// At most `max_per_key` of each key; 0: no limit.
    pub fn new(max_per_key: usize) -> Self {
        Self { max_per_key, open: Mutex::default() }
    }

    /// Counts one more of the caller's key.
    ///
    /// # Errors
    /// `ERR_RATE_LIMITED {limit, retryAfterMs}`: the key has as many open as it may.
    pub fn take(self: &Arc<Self>, principal: &Principal) -> Result<OpenKey, OperationError> {
        let credential_id = principal.credential_id().map_or_else(|| NO_KEY.into(), Arc::clone);
        let is_limited = self.max_per_key > 0 && &*credential_id != NO_KEY;
        let mut open = self.open.lock();
        let new = || KeyState { open: 0, ended: watch::Sender::new(None) };
        let key = open.entry(Arc::clone(&credential_id)).or_insert_with(new);
        if is_limited && key.open >= self.max_per_key {
            let max = self.max_per_key;
            return Err(DomainError::new(Code::RateLimited)
                .saying(format!(
                    "the key has {max} streams and polls open (API_KEY_MAX_OPEN); close one first"
                ))
                .with("limit", max)
                .with("retryAfterMs", RETRY_AFTER_MS)
                .into());
        }
        key.open += 1;
        let ended = key.ended.subscribe();
        drop(open);
        Ok(OpenKey { all: Arc::clone(self), credential_id, ended })
    }

    /// The credentials of which something is open.
    pub fn ids(&self) -> Vec<String> {
        self.open.lock().keys().filter(|id| &***id != NO_KEY).map(|id| id.to_string()).collect()
    }

    /// Ends what callers without a key have open: they need one now.
    pub fn end_without_key(&self) {
        self.end(&[NO_KEY.to_owned()], Code::Unauthorized);
    }

    /// Ends what is open of these credentials.
    pub fn end(&self, ids: &[String], why: Code) {
        let mut open = self.open.lock();
        for key in ids.iter().filter_map(|id| open.remove(id.as_str())) {
            key.ended.send_replace(Some(why));
        }
    }
}

impl OpenKey {
    /// Checks that the key counts.
    ///
    /// # Errors
    /// Why it ends.
    pub fn check(&self) -> Result<(), Code> {
        let ended = *self.ended.borrow();
        ended.map_or(Ok(()), Err)
    }

    /// Waits until the key counts no more.
    pub async fn ended(&mut self) {
        // An error means that the key was ended, and the reason was read.
        let _ = self.ended.changed().await;
    }
}

impl Drop for OpenKey {
    fn drop(&mut self) {
        let mut open = self.all.open.lock();
        // After the end of a key it may have been opened anew: that entry counts others.
        if self.ended.borrow().is_none()
            && let Some(key) = open.get_mut(&self.credential_id)
        {
            key.open -= 1;
            if key.open == 0 {
                open.remove(&self.credential_id);
            }
        }
    }
}
