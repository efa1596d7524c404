//! The schedule of retries.

use agentcafe_domain::kernel::Timestamp;
use agentcafe_domain::webhooks::schedule::{
    AttemptResult, MAX_PAUSE_MS, RetryDecision, next, retry_after_ms,
};

/// One attempt and as many retries as are set, every answer but 2xx retried, doubled
/// backoff with full jitter and a cap, `Retry-After` honoured and capped, 410 disables.
#[test]
fn webhook_schedule_decides_what_follows_an_attempt() {
    const HIGH: u64 = u64::MAX;
    let cases = [
        // Status, Retry-After, attempt, retries, backoff, jitter; then what follows.
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
fn webhook_retry_after_is_seconds_or_a_date() {
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
