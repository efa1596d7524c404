//! Limits concurrent attempts to send, or to resolve a name, such that slow targets do not delay the others.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// An attempt that takes longer counts as slow.
const SLOW_AFTER: Duration = Duration::from_millis(200);

/// The permits of all attempts.
pub(super) struct ConcurrencyLimiter {
    fast: Semaphore,
    slow: Semaphore,
}

impl ConcurrencyLimiter {
    /// Allows `max_fast` attempts at once, without those that are slow, and `max_slow` of these.
    pub(super) fn new(max_fast: usize, max_slow: usize) -> Self {
        let fast = max_fast.clamp(1, Semaphore::MAX_PERMITS);
        Self { fast: Semaphore::new(fast), slow: Semaphore::new(max_slow) }
    }

    /// Makes an attempt when there is a permit for it, and returns whether it was slow. If the last attempt of its subscription
    /// was slow, it takes a slow permit from the beginning; one that becomes slow exchanges its permit, when a slow one is free.
    pub(super) async fn attempt<T>(&self, was_slow: bool, attempt: impl Future<Output = T>) -> (T, bool) {
        let permit = acquire(if was_slow { &self.slow } else { &self.fast }).await;
        let mut attempt = pin!(attempt);
        if let Ok(result) = timeout(SLOW_AFTER, attempt.as_mut()).await {
            return (result, false);
        }
        if was_slow {
            return (attempt.await, true);
        }
        tokio::select! {
            biased;
            result = attempt.as_mut() => (result, true),
            _slow = acquire(&self.slow) => {
                drop(permit);
                (attempt.await, true)
            }
        }
    }
}

async fn acquire(permits: &Semaphore) -> SemaphorePermit<'_> {
    permits.acquire().await.expect("the semaphores are never closed")
}
