//! Waits for conditions with a deadline, instead of sleeping for a fixed time.

use std::time::Duration;

/// The pause between two checks of a condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Calls `check` until it returns a value, and returns that.
///
/// # Panics
/// When there is none `within` this time; the message says `what` was awaited.
pub async fn eventually<T>(what: &str, within: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(within, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}
