//! Limits concurrent attempts to send, or to resolve a name, such that slow targets do not delay the others, and no tenant those of
//! others.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
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

    async fn acquire(&self, is_slow: bool) -> SemaphorePermit<'_> {
        let permits = if is_slow { &self.slow } else { &self.fast };
        permits.acquire().await.expect("the semaphores are never closed")
    }
}

/// The permits of a tenant, which are also permits of all.
pub(super) struct TenantLimiter {
    own: ConcurrencyLimiter,
    all: Arc<ConcurrencyLimiter>,
    /// One attempt at a time waits for a permit of all, so that tenants get these in turn: a fast one, a slow one.
    turns: [Mutex<()>; 2],
}

impl TenantLimiter {
    /// Allows the tenant `max_fast` and `max_slow` attempts at once, as [`ConcurrencyLimiter::new`], while `all` allows more.
    pub(super) fn new(max_fast: usize, max_slow: usize, all: Arc<ConcurrencyLimiter>) -> Self {
        Self { own: ConcurrencyLimiter::new(max_fast, max_slow), all, turns: Default::default() }
    }

    /// Makes an attempt when there is a permit for it, and returns whether it was slow. If the last attempt of its kind was
    /// slow, it takes a slow permit from the beginning; one that becomes slow exchanges its permit, when a slow one is free.
    pub(super) async fn attempt<T>(&self, was_slow: bool, attempt: impl Future<Output = T>) -> (T, bool) {
        let permits = self.acquire(was_slow).await;
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
            _slow = self.acquire(true) => {
                drop(permits);
                (attempt.await, true)
            }
        }
    }

    async fn acquire(&self, is_slow: bool) -> [SemaphorePermit<'_>; 2] {
        let own = self.own.acquire(is_slow).await;
        let _turn = self.turns[usize::from(is_slow)].lock().await;
        [own, self.all.acquire(is_slow).await]
    }
}
