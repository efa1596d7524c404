//! When a delivery that failed is tried again, and when no more.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::kernel::Timestamp;

/// The longest pause between two attempts, whatever the backoff and `Retry-After` are: 15 minutes.
pub const MAX_PAUSE_MS: u64 = 15 * 60_000;

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// It arrived.
    Done,
    /// Try again after this many milliseconds.
    RetryAfter(u64),
    /// It was the last attempt.
    GiveUp,
    /// The receiver is gone for good (410): give up this event, and disable the subscription.
    Disable,
}

/// How an attempt went, as far as the schedule is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptResult {
    /// The status of the answer; none without an answer.
    pub status: Option<u16>,
    /// The response's `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Which attempt it was, from 1.
    pub number: u32,
}

/// Decides what follows an attempt. The pause is anything up to the backoff, doubled with each attempt (`jitter` selects
/// the value), so that deliveries that failed together are not retried together; and at least as long as the `Retry-After` of the receiver.
pub fn next(result: AttemptResult, max_retries: u32, backoff_ms: u64, jitter: u64) -> RetryDecision {
    match result.status {
        Some(200..300) => return RetryDecision::Done,
        Some(410) => return RetryDecision::Disable,
        _ => {}
    }
    if result.number > max_retries {
        return RetryDecision::GiveUp;
    }
    let doubled = 1_u64.checked_shl(result.number.saturating_sub(1)).unwrap_or(u64::MAX);
    let ceiling = backoff_ms.saturating_mul(doubled).min(MAX_PAUSE_MS);
    let requested = result.retry_after_ms.unwrap_or(0).min(MAX_PAUSE_MS);
    RetryDecision::RetryAfter((jitter % (ceiling + 1)).max(requested))
}

/// Reads a `Retry-After`: seconds, or a date. Milliseconds from `now`; none if it is neither.
pub fn retry_after_ms(header: &str, now: Timestamp) -> Option<u64> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let text = header.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let at = DATES.parse_timestamp(text).ok()?.as_millisecond();
    Some(u64::try_from(at - now.as_millis()).unwrap_or(0))
}
