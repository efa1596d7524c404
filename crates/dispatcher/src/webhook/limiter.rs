//! How much is sent at once, such that targets that are slow do not hold up the others.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How long an attempt counts as being sent; after that it waits for its target.
const TIMEOUT: Duration = Duration::from_millis(200);
/// The most attempts that wait for their targets.
const MAX_SLOW: usize = 1_024;

/// The places of all attempts.
pub(super) struct ConcurrencyLimiter {
    fast: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

impl ConcurrencyLimiter {
    /// So many are sent at once.
    pub(super) fn new(max_concurrency: usize) -> Self {
        let fast = max_concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self { fast: Arc::new(Semaphore::new(fast)), slow: Arc::new(Semaphore::new(MAX_SLOW)) }
    }

    /// Makes an attempt when there is a place for it; tells whether its target is slow. One that has been slow before waits
    /// among its like from the beginning. One that turns out to be slow gives its place to others.
    pub(super) async fn attempt<T>(&self, was_slow: bool, attempt: impl Future<Output = T>) -> (T, bool) {
        let places = if was_slow { &self.slow } else { &self.fast };
        let place = enter(places).await;
        let mut attempt = pin!(attempt);
        if let Ok(answer) = timeout(TIMEOUT, attempt.as_mut()).await {
            return (answer, false);
        }
        if was_slow {
            return (attempt.await, true);
        }
        tokio::select! {
            biased;
            answer = attempt.as_mut() => (answer, true),
            _slow = enter(&self.slow) => {
                drop(place);
                (attempt.await, true)
            }
        }
    }
}

async fn enter(places: &Semaphore) -> Option<SemaphorePermit<'_>> {
    // They are never closed: there is always a place some time.
    places.acquire().await.ok()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Targets that never answer take the few places for a moment only, and those known to be slow not at all.
    #[tokio::test]
    async fn slow_targets_make_way() {
        let limiter = Arc::new(ConcurrencyLimiter::new(1));
        for was_slow in [false, false, true, true] {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { limiter.attempt(was_slow, pending::<()>()).await });
        }
        for _ in 0..3 {
            assert_eq!(limiter.attempt(false, async { 7 }).await, (7, false));
        }
        assert_eq!(limiter.attempt(true, async { 8 }).await, (8, false));
    }
}
