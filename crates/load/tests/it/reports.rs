//! Reports and the checks of the three modes.

use agentcafe_load::fanout::DeliveryReport;
use agentcafe_load::gate::{Objectives, StreamReport};
use agentcafe_load::http::{ProtocolError, parse_head};
use agentcafe_load::report::{Diagnostics, GateCheck, GateResult, GeneratorUsage, RequestReport, share};
use agentcafe_load::stats::{FailureCounts, Latencies, LatencySummary, RequestStats};
use agentcafe_load::write::{CommandReport, Thresholds};

#[test]
fn gate_check_includes_its_bound_and_fails_without_a_value() {
    let cases = [
        (GateCheck::at_most("a", Some(200.0), 200.0), true),
        (GateCheck::at_most("a", Some(200.001), 200.0), false),
        (GateCheck::at_most("a", None, 200.0), false),
        (GateCheck::at_least("a", Some(0.98), 0.98), true),
        (GateCheck::at_least("a", Some(0.97), 0.98), false),
        (GateCheck::at_least("a", None, 0.98), false),
    ];
    for (check, pass) in cases {
        assert_eq!(check.pass, pass, "{check:?}");
        assert_eq!(GateResult::new(vec![check]).pass, pass);
    }
    let checks = vec![GateCheck::at_most("a", Some(1.0), 2.0), GateCheck::at_most("b", None, 2.0)];
    let result = GateResult::new(checks);
    assert_eq!((result.pass, result.failed()), (false, vec!["b"]));
}

#[test]
fn share_of_nothing_is_the_default() {
    assert_eq!([share(1, 4, 1.0), share(0, 0, 1.0), share(0, 0, 0.0)], [0.25, 1.0, 0.0]);
}

#[test]
fn request_report_has_latencies_and_failures_by_kind() {
    let mut stats = RequestStats { completed: 3, ..RequestStats::default() };
    (0..3).for_each(|_| stats.latencies.record_us(2000));
    stats.record_error(&ProtocolError::TimedOut, 9000);
    let json = serde_json::to_value(RequestReport::new(&stats)).unwrap();
    let expected = [
        ("/count", 3.0),
        ("/p95Ms", 2.0),
        ("/total", 4.0),
        ("/errors", 1.0),
        ("/errorRate", 0.25),
        ("/timeouts", 1.0),
        ("/rateLimited", 0.0),
        ("/failed/count", 1.0),
        ("/failed/maxMs", 9.0),
    ];
    for (pointer, number) in expected {
        assert_eq!(json.pointer(pointer).and_then(serde_json::Value::as_f64), Some(number), "{pointer}");
    }
    assert_eq!(json["firstFailure"], "connection: no answer in time");
    let nothing = serde_json::to_value(RequestReport::new(&RequestStats::default())).unwrap();
    assert_eq!((&nothing["p95Ms"], &nothing["errorRate"]), (&serde_json::Value::Null, &1.0.into()));
}

#[test]
fn diagnostics_warn_of_a_busy_generator() {
    for (busy, count) in [(0.5, 0), (0.97, 1)] {
        let mut diagnostics = Diagnostics::default();
        diagnostics.explain_usage(GeneratorUsage { threads: 1, cpu_ms: 1, busy });
        assert_eq!(diagnostics.0.len(), count, "{busy}");
    }
}

const OBJECTIVES: Objectives = Objectives {
    api_p95_ms: 200.0,
    api_p99_ms: 500.0,
    api_error_rate_max: 0.01,
    stream_ready_p95_ms: 1200.0,
    stream_success_rate_min: 0.98,
};

fn stats(latencies_ms: &[u64], failed: u64) -> RequestStats {
    let mut stats = RequestStats { completed: latencies_ms.len() as u64, ..RequestStats::default() };
    latencies_ms.iter().for_each(|ms| stats.latencies.record_us(ms * 1000));
    (0..failed).for_each(|_| stats.record_error(&ProtocolError::TimedOut, 5_000_000));
    stats
}

#[test]
fn gate_explains_its_result_without_the_rate_limit() {
    let limited = |mut stats: RequestStats| {
        let wire = b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n";
        let head = parse_head(wire).unwrap().unwrap();
        (0..50).for_each(|_| stats.record_refusal(head, b"", 1));
        stats
    };
    let cases = [
        (limited(stats(&[10; 100], 1)), limited(stats(&[10; 50], 1)), "would pass the gate"),
        (limited(stats(&[10; 9], 1)), stats(&[10; 50], 0), "still fail the gate: api_error_rate"),
        (
            limited(stats(&[], 0)),
            stats(&[10; 50], 0),
            "still fail the gate: api_p95, api_p99, api_error_rate",
        ),
    ];
    for (api, stream, expected) in cases {
        let (api, stream) = (RequestReport::new(&api), StreamReport::new(&stream));
        assert!(!OBJECTIVES.check(&api, &stream).pass);
        let note = OBJECTIVES.explain_without_rate_limit(&api, &stream);
        assert!(note.ends_with(expected), "{note}");
    }
}

#[test]
fn gate_names_each_missed_objective() {
    let fast = vec![10; 100];
    let slow_tail = [vec![10; 98], vec![600; 2]].concat();
    let cases: [(RequestStats, RequestStats, &[&str]); 6] = [
        (stats(&fast, 0), stats(&fast, 0), &[]),
        (stats(&fast, 1), stats(&fast, 2), &[]),
        (stats(&fast, 2), stats(&fast, 3), &["api_error_rate", "stream_success_rate"]),
        (stats(&slow_tail, 0), stats(&fast, 0), &["api_p99"]),
        (stats(&[300; 10], 0), stats(&[1300; 10], 0), &["api_p95", "stream_ready_p95"]),
        (
            stats(&[], 0),
            stats(&[], 0),
            &["api_p95", "api_p99", "api_error_rate", "stream_ready_p95", "stream_success_rate"],
        ),
    ];
    for (api, stream, failed) in cases {
        let gate = OBJECTIVES.check(&RequestReport::new(&api), &StreamReport::new(&stream));
        assert_eq!(gate.failed(), failed);
        assert_eq!(gate.pass, failed.is_empty());
    }
}

const THRESHOLDS: Thresholds =
    Thresholds { error_rate_max: 0.01, p99_ms: Some(50.0), per_second: Some(900.0) };

fn commands(completed: u64) -> CommandReport {
    let stats = RequestStats { completed, ..RequestStats::default() };
    CommandReport { requests: RequestReport::new(&stats), per_second: 10.0 }
}

fn passing() -> DeliveryReport {
    let mut latencies = Latencies::default();
    latencies.record_us(40_000);
    DeliveryReport {
        latencies: latencies.summary(),
        ready: 100,
        ended: 0,
        failures: FailureCounts::default(),
        delivered: 1000,
        per_second: 1000.0,
        logged: Some(10),
        lost: Some(0),
        repeated: Some(0),
        out_of_order: Some(0),
        subscribers_with_another_log: Some(0),
        accepted_but_not_logged: Some(0),
    }
}

#[test]
fn fanout_gate_fails_on_each_fault_and_on_unknown_figures() {
    let cases: [(DeliveryReport, u64, &[&str]); 9] = [
        (passing(), 10, &[]),
        (passing(), 0, &["write_error_rate"]),
        (DeliveryReport { ready: 99, ..passing() }, 10, &["subscribers_ready"]),
        (DeliveryReport { ended: 1, ..passing() }, 10, &["streams_ended"]),
        (DeliveryReport { lost: Some(1), ..passing() }, 10, &["events_lost"]),
        (DeliveryReport { repeated: None, ..passing() }, 10, &["events_repeated"]),
        (DeliveryReport { accepted_but_not_logged: Some(1), ..passing() }, 10, &["accepted_but_not_logged"]),
        (DeliveryReport { latencies: LatencySummary::default(), ..passing() }, 10, &["delivery_p99"]),
        (DeliveryReport { per_second: 899.0, ..passing() }, 10, &["deliveries_per_second"]),
    ];
    for (deliveries, says, failed) in cases {
        let gate = THRESHOLDS.check_deliveries(100, &commands(says), &deliveries);
        assert_eq!(gate.failed(), failed);
    }
    let lenient = Thresholds { p99_ms: None, per_second: None, ..THRESHOLDS };
    let slow = DeliveryReport { latencies: LatencySummary::default(), per_second: 0.0, ..passing() };
    assert!(lenient.check_deliveries(100, &commands(10), &slow).pass);
}
