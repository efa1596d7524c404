//! When a delivery that failed is tried again, and when no more.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::kernel::Timestamp;

/// The longest pause between two attempts, whatever the backoff and the receiver say: 15 minutes.
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
    /// What the answer's `Retry-After` says, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Which attempt it was, from 1.
    pub number: u32,
}

/// Decides what follows an attempt. The pause is anything up to the backoff, doubled with each attempt (`jitter` says
/// where in between), so that deliveries that failed together are not retried together; and at least what the receiver asks for.
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
    let asked = result.retry_after_ms.unwrap_or(0).min(MAX_PAUSE_MS);
    RetryDecision::RetryAfter((jitter % (ceiling + 1)).max(asked))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One attempt and as many retries as are set, every answer but 2xx retried, doubled
    /// backoff with full jitter and a cap, `Retry-After` honoured and capped, 410 disables.
    #[test]
    fn the_schedule_is_a_table() {
        const HIGH: u64 = u64::MAX;
        let cases = [
            // Status, Retry-After, attempt, retries, backoff, dice; then what follows.
            (Some(200), None, 1, 3, 1_000, 0, RetryDecision::Done),
            (Some(204), None, 9, 3, 1_000, 0, RetryDecision::Done),
            (Some(299), Some(9), 1, 0, 1_000, 0, RetryDecision::Done),
            (Some(410), None, 1, 3, 1_000, 0, RetryDecision::Disable),
            (Some(410), None, 4, 3, 1_000, 0, RetryDecision::Disable),
            (None, None, 1, 0, 1_000, 0, RetryDecision::GiveUp),
            (Some(500), None, 4, 3, 1_000, 0, RetryDecision::GiveUp),
            (None, None, 1, 3, 1_000, 0, RetryDecision::RetryAfter(0)),
            (None, None, 1, 3, 1_000, 1_000, RetryDecision::RetryAfter(1_000)),
            (None, None, 1, 3, 1_000, 1_001, RetryDecision::RetryAfter(0)),
            (Some(500), None, 2, 3, 1_000, 2_000, RetryDecision::RetryAfter(2_000)),
            (Some(301), None, 3, 3, 1_000, 4_000, RetryDecision::RetryAfter(4_000)),
            (Some(404), None, 1, 1, 100, 100, RetryDecision::RetryAfter(100)),
            (Some(100), None, 1, 1, 100, 50, RetryDecision::RetryAfter(50)),
            (Some(503), Some(30_000), 1, 3, 1_000, 7, RetryDecision::RetryAfter(30_000)),
            (Some(429), Some(1), 1, 3, 1_000, 7, RetryDecision::RetryAfter(7)),
            (Some(429), Some(HIGH), 1, 3, 1_000, 7, RetryDecision::RetryAfter(MAX_PAUSE_MS)),
            (None, None, 10, 10, 60_000, MAX_PAUSE_MS, RetryDecision::RetryAfter(MAX_PAUSE_MS)),
            (None, None, 10, 10, 60_000, MAX_PAUSE_MS + 1, RetryDecision::RetryAfter(0)),
            (None, None, 99, 200, 60_000, 5, RetryDecision::RetryAfter(5)),
        ];
        for (status, retry_after_ms, number, retries, backoff, jitter, want) in cases {
            let got = next(AttemptResult { status, retry_after_ms, number }, retries, backoff, jitter);
            assert_eq!(got, want, "{status:?} {retry_after_ms:?} {number} {retries} {backoff} {jitter}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::parse("2015-10-21T07:28:00Z").unwrap();
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120_000)),
            ("99999999999999999999", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Wed, 21 Oct 2015 07:29:00 GMT", Some(60_000)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
        ];
        for (header, want) in cases {
            assert_eq!(retry_after_ms(header, now), want, "{header:?}");
        }
    }
}
