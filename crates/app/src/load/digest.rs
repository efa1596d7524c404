//! A report in a few lines, for a person.

use agentcafe_load::{
    fanout::FanoutReport, gate::GateReport, latency::Summary, report::Verdict, write::WriteReport,
};

/// Characters of a histogram's longest bar.
const BAR_CHARS: u64 = 40;

/// What the gate came to.
pub(super) fn of_gate(report: &GateReport) -> Vec<String> {
    let GateReport { api, stream, gate, .. } = report;
    let mut lines = vec![format!("requests: {}, {} failed", api.total, api.errors)];
    lines.extend(latencies(&api.latencies));
    lines.push(format!("streams: {}, {} failed", stream.total, stream.errors));
    lines.extend(latencies(&stream.latencies));
    lines.extend(checks(gate));
    lines
}

/// What writing came to.
pub(super) fn of_write(report: &WriteReport) -> Vec<String> {
    let requests = &report.write.requests;
    let per_second = report.write.per_second;
    let mut lines =
        vec![format!("commands: {}, {} failed, {per_second}/s accepted", requests.total, requests.errors)];
    lines.extend(latencies(&requests.latencies));
    lines.extend(checks(&report.gate));
    lines
}

/// What a fan-out came to.
pub(super) fn of_fanout(report: &FanoutReport) -> Vec<String> {
    let (requests, fanout) = (&report.write.requests, &report.fanout);
    let mut lines = vec![
        format!("says: {}, {} failed", requests.total, requests.errors),
        format!("deliveries: {}, {}/s, to {} streams", fanout.delivered, fanout.per_second, fanout.ready),
    ];
    lines.extend(latencies(&fanout.latencies));
    lines.extend(checks(&report.gate));
    lines
}

fn latencies(summary: &Summary) -> Vec<String> {
    let (Some(p50), Some(p90), Some(p99), Some(max)) =
        (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms)
    else {
        return Vec::new();
    };
    let mut lines = vec![format!("  p50 {p50} ms · p90 {p90} ms · p99 {p99} ms · max {max} ms")];
    let most = summary.histogram.iter().map(|step| step.count).max().unwrap_or(1);
    for step in &summary.histogram {
        // Something is never shown as nothing.
        let bar = "▇".repeat(usize::try_from((step.count * BAR_CHARS).div_ceil(most)).unwrap_or_default());
        lines.push(format!("  ≤ {:>6} ms {bar} {}", step.up_to_ms, step.count));
    }
    lines
}

fn checks(gate: &Verdict) -> Vec<String> {
    let line = |check: &agentcafe_load::report::Check| {
        let actual = check.actual.map_or_else(|| "unknown".to_owned(), |actual| actual.to_string());
        let verdict = if check.pass { "ok  " } else { "FAIL" };
        format!("{verdict} {}: {actual} (expected {})", check.name, check.expected)
    };
    gate.checks.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use agentcafe_load::{latency::Latencies, report::Check};

    use super::*;

    #[test]
    fn a_histogram_is_drawn() {
        let mut recorded = Latencies::default();
        for ms in [1, 1, 1, 1, 300] {
            recorded.record_us(ms * 1000);
        }
        let lines = latencies(&recorded.summary());
        assert_eq!(lines[0], "  p50 1 ms · p90 300 ms · p99 300 ms · max 300 ms");
        assert_eq!(lines[1], format!("  ≤      1 ms {} 4", "▇".repeat(40)));
        assert_eq!(lines[2], format!("  ≤    512 ms {} 1", "▇".repeat(10)));
        assert!(latencies(&Summary::default()).is_empty());
    }

    #[test]
    fn what_fails_stands_out() {
        let gate = Verdict::of(vec![Check::at_most("a", Some(1.5), 2.0), Check::at_most("b", None, 0.0)]);
        assert_eq!(checks(&gate), ["ok   a: 1.5 (expected 2)", "FAIL b: unknown (expected 0)"]);
    }
}
