//! Waits for conditions, with a deadline, because tests must not sleep and hope.

use std::time::Duration;

/// Pause between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Looks until `look` finds what it looks for, and returns that.
///
/// # Panics
/// When nothing is found `within` this time; the message says `what` was awaited.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(within, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}
