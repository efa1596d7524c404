//! Latencies and counts of failures.

use std::collections::BTreeMap;

use agentcafe_load::http::{ProtocolError, parse_head};
use agentcafe_load::stats::{FailureCounts, Latencies, LatencySummary, RequestStats};

fn latencies(latencies_ms: impl IntoIterator<Item = u64>) -> Latencies {
    let mut latencies = Latencies::default();
    latencies_ms.into_iter().for_each(|ms| latencies.record_us(ms * 1000));
    latencies
}

/// The quantile `p` of `n` values is at position `⌈p · n⌉`; the value is at most 0.1 % off.
#[test]
fn latencies_quantiles_are_those_of_the_sorted_values() {
    let hundred: Vec<u64> = (1..=100).rev().collect();
    let cases: [(&[u64], f64, f64); 9] = [
        (&hundred, 0.50, 50.0),
        (&hundred, 0.95, 95.0),
        (&hundred, 0.99, 99.0),
        (&hundred, 1.0, 100.0),
        (&hundred, 0.0, 1.0),
        (&[7], 0.5, 7.0),
        (&[7], 0.99, 7.0),
        (&[10, 20], 0.5, 10.0),
        (&[10, 20], 0.51, 20.0),
    ];
    for (values, quantile, expected) in cases {
        let actual = latencies(values.iter().copied()).quantile_ms(quantile);
        assert!((actual - expected).abs() <= expected / 1000.0, "{quantile}: {actual}, not {expected}");
    }
}

#[test]
fn latencies_summary_has_exact_bounds_and_all_buckets() {
    let summary = latencies([1, 2, 3, 1000]).summary();
    let exact = (summary.count, summary.min_ms, summary.max_ms, summary.avg_ms);
    assert_eq!(exact, (4, Some(1.0), Some(1000.0), Some(251.5)));
    let buckets: Vec<_> = summary.histogram.iter().map(|bucket| (bucket.up_to_ms, bucket.count)).collect();
    assert_eq!(buckets, [(1, 1), (2, 1), (4, 1), (1024, 1)]);
    assert_eq!(Latencies::default().summary(), LatencySummary::default());
    let buckets = latencies([0, 150_000]).summary().histogram;
    assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 2);
}

#[test]
fn latencies_merge_adds_up() {
    let mut merged = latencies([5]);
    merged.merge(&latencies([1, 9]));
    merged.merge(&Latencies::default());
    assert_eq!(merged.summary(), latencies([1, 5, 9]).summary());
}

#[test]
fn failure_counts_tell_the_kinds_apart() {
    let head = |wire: &str| {
        let wire = format!("HTTP/1.1 {wire}\r\ncontent-length: 0\r\n\r\n");
        parse_head(wire.as_bytes()).unwrap().unwrap()
    };
    let mut stats = RequestStats::default();
    stats.record_refusal(head("429 Slow\r\nx-ratelimit-limit: 120"), br#"{"code":"ERR_RATE_LIMITED"}"#, 1);
    stats.record_refusal(head("429 Slow"), br#"{"code":"ERR_MODERATION_BLOCKED"}"#, 1);
    stats.record_refusal(head("401 Who"), b"", 1);
    stats.record_refusal(head("503 Later"), b"", 1);
    stats.record_error(&ProtocolError::StreamRefused(head("503 Later")), 1);
    stats.record_error(&ProtocolError::TimedOut, 1);
    stats.record_error(&ProtocolError::Closed, 1);
    let mut total = RequestStats::default();
    total.merge(stats.clone());
    total.merge(stats);
    let expected = FailureCounts {
        rate_limited: 2,
        moderated: 2,
        unauthorized: 2,
        statuses: BTreeMap::from([(503, 4)]),
        timeouts: 2,
        transport_errors: 2,
        first_failure: Some(r#"status 429: {"code":"ERR_RATE_LIMITED"}"#.to_owned()),
        rate_limit: Some(120),
    };
    assert_eq!((total.failed, total.failed_latencies.count()), (14, 14));
    assert_eq!(total.failures, expected);
}
