//! What stays open for each API key: streams and waiting polls, which are limited by how many there are at once.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError, OperationError};
use agentcafe_domain::keys::Principal;
use parking_lot::Mutex;

/// How long a caller over the limit should wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;

/// How many streams and polls are open, by the id of their key.
pub(crate) struct OpenByKey {
    max: usize,
    open: Mutex<HashMap<Arc<str>, usize>>,
}

/// One that is open, until it is dropped.
pub(crate) struct OpenSlot {
    all: Arc<OpenByKey>,
    key_id: Arc<str>,
}

impl OpenByKey {
    /// At most `max` of each key; 0: no limit.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, open: Mutex::default() }
    }

    /// Counts one more of the caller's key; none for a caller without one.
    ///
    /// # Errors
    /// `ERR_RATE_LIMITED {limit, retryAfterMs}`: the key has as many open as it may.
    pub(crate) fn take(self: &Arc<Self>, principal: &Principal) -> Result<Option<OpenSlot>, OperationError> {
        let Some(binding) = principal.binding() else { return Ok(None) };
        let key_id = Arc::clone(&binding.key_id);
        let mut open = self.open.lock();
        let count = open.get(&key_id).copied().unwrap_or_default();
        if self.max > 0 && count >= self.max {
            let max = self.max;
            return Err(DomainError::new(Code::RateLimited)
                .saying(format!(
                    "the key has {max} streams and polls open (API_KEY_MAX_OPEN); close one first"
                ))
                .with("limit", max)
                .with("retryAfterMs", RETRY_AFTER_MS)
                .into());
        }
        open.insert(Arc::clone(&key_id), count + 1);
        drop(open);
        Ok(Some(OpenSlot { all: Arc::clone(self), key_id }))
    }
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        let mut open = self.all.open.lock();
        if let Some(count) = open.get_mut(&self.key_id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key_id);
            }
        }
    }
}
