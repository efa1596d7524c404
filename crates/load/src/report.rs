//! What all reports share: requests, checks, generator usage and diagnostics; and progress while a run lasts.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::stats::{FailureCounts, LatencySummary, RequestStats, Stopwatch};

/// Share of its threads' time from which the generator may be what limits the figures.
const BUSY: f64 = 0.9;
/// How reports refer to streams.
pub(crate) const STREAMS: &str = "streams";

/// Progress of one phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// Name of the phase.
    pub phase: &'static str,
    /// Time since its start.
    pub elapsed: Duration,
    /// Its planned duration, or its deadline.
    pub duration: Duration,
    /// Units of work done.
    pub done: u64,
    /// Failures among them.
    pub failed: u64,
}

/// Receives the progress of a run, a few times a second.
pub trait ProgressObserver: Sync {
    /// Shows the progress.
    fn show(&self, progress: &RunProgress);
}

/// Ignores progress.
#[derive(Clone, Copy, Debug)]
pub struct NoObserver;

impl ProgressObserver for NoObserver {
    fn show(&self, _progress: &RunProgress) {}
}

/// Requests in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestReport {
    /// Latencies of successful requests.
    #[serde(flatten)]
    pub latencies: LatencySummary,
    /// Number of requests.
    pub total: u64,
    /// Number of failed requests.
    pub errors: u64,
    /// Share of failed requests; 1 without requests.
    pub error_rate: f64,
    /// Failures by kind.
    #[serde(flatten)]
    pub failures: FailureCounts,
    /// Latencies of failed requests.
    pub failed: LatencySummary,
}

impl RequestReport {
    /// Reports these results.
    #[must_use]
    pub fn new(stats: &RequestStats) -> Self {
        let total = stats.completed + stats.failed;
        Self {
            latencies: stats.latencies.summary(),
            total,
            errors: stats.failed,
            error_rate: share(stats.failed, total, 1.0),
            failures: stats.failures.clone(),
            failed: stats.failed_latencies.summary(),
        }
    }
}

/// The share of `part` in `total`; `default` if `total` is 0.
#[must_use]
pub fn share(part: u64, total: u64, default: f64) -> f64 {
    if total == 0 { default } else { part as f64 / total as f64 }
}

/// Whole milliseconds, as in settings and reports.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Rate per second, rounded to a tenth.
#[must_use]
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-3) * 10.0).round() / 10.0
}

/// One check of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GateCheck {
    /// Name of the checked figure.
    pub name: &'static str,
    /// Its value, if known.
    pub actual: Option<f64>,
    /// Its upper or lower bound.
    pub expected: f64,
    /// Whether the value is known and within the bound.
    pub pass: bool,
}

impl GateCheck {
    /// Checks for at most `expected`.
    #[must_use]
    pub fn at_most(name: &'static str, actual: Option<f64>, expected: f64) -> Self {
        Self { name, actual, expected, pass: actual.is_some_and(|actual| actual <= expected) }
    }

    /// Checks for at least `expected`.
    #[must_use]
    pub fn at_least(name: &'static str, actual: Option<f64>, expected: f64) -> Self {
        Self { name, actual, expected, pass: actual.is_some_and(|actual| actual >= expected) }
    }
}

/// Result of all checks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateResult {
    /// Whether all checks pass.
    pub pass: bool,
    /// The checks.
    pub checks: Vec<GateCheck>,
}

impl GateResult {
    /// The result of these checks.
    #[must_use]
    pub fn new(checks: Vec<GateCheck>) -> Self {
        Self { pass: checks.iter().all(|check| check.pass), checks }
    }

    /// Names of the failed checks.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|check| !check.pass).map(|check| check.name).collect()
    }
}

/// What the load generator itself used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorUsage {
    /// Number of worker threads.
    pub threads: usize,
    /// CPU time of the process.
    pub cpu_ms: u64,
    /// CPU time as a share of the worker threads' wall time.
    pub busy: f64,
}

/// Measures the CPU time of this process.
#[derive(Clone, Copy, Debug)]
pub struct CpuMeter {
    threads: usize,
    stopwatch: Stopwatch,
    cpu: Duration,
}

impl CpuMeter {
    /// Starts measuring a process with this many worker threads.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        Self { threads, stopwatch: Stopwatch::start(), cpu: cpu_time() }
    }

    /// The usage since the start.
    #[must_use]
    pub fn usage(self) -> GeneratorUsage {
        let cpu = cpu_time().saturating_sub(self.cpu);
        let available = self.stopwatch.elapsed().as_secs_f64() * self.threads as f64;
        let busy = (cpu.as_secs_f64() / available.max(1e-3) * 100.0).round() / 100.0;
        GeneratorUsage { threads: self.threads, cpu_ms: whole_ms(cpu), busy }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Neither is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Explains the figures of a run to its operator: the `notes` of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<String>);

impl Diagnostics {
    /// All explanations.
    #[must_use]
    pub fn into_notes(self) -> Vec<String> {
        self.0
    }

    /// Adds an explanation.
    pub fn add(&mut self, note: String) {
        self.0.push(note);
    }

    /// Explains failures of `what` (requests, streams) that have another cause than a slow server.
    pub fn explain_failures(&mut self, what: &str, failures: &FailureCounts, has_key: bool) {
        if failures.rate_limited > 0 {
            let limit = failures.rate_limit.map_or_else(String::new, |limit| format!(" of {limit} a minute"));
            self.add(format!(
                "{} {what} were refused by the server's rate limit{limit}, so this run measures the limit and not the \
                 server: set API_RATE_LIMIT_PER_MIN on the server to 0 (no limit) or a higher value during the test",
                failures.rate_limited
            ));
        }
        if failures.moderated > 0 {
            self.add(format!(
                "{} {what} were refused by moderation: use more actors (--actors) or a lower rate (--rate), or set \
                 MOD_MIN_ACTION_INTERVAL_MS and MOD_MAX_ACTIONS_PER_WINDOW on the server to 0 during the test",
                failures.moderated
            ));
        }
        if failures.unauthorized > 0 {
            let hint =
                if has_key { "the key in LOAD_API_KEY is not the server's" } else { "set LOAD_API_KEY" };
            self.add(format!(
                "{} {what} were refused without a valid API key: {hint}",
                failures.unauthorized
            ));
        }
        if failures.transport_errors > 0 {
            self.add(format!("{} {what} failed because the connection failed", failures.transport_errors));
        }
        if failures.timeouts > 0 {
            self.add(format!("{} {what} timed out", failures.timeouts));
        }
        if let Some(count) = failures.statuses.get(&503) {
            let reason = match what {
                STREAMS => {
                    "the server has reached its limit of streams (API_STREAM_MAX_CLIENTS), or is not ready"
                }
                _ => "the server is overloaded or not ready; see its log",
            };
            self.add(format!("{count} {what} were answered with 503: {reason}"));
        }
    }

    /// Warns if the generator may be what limits the figures.
    pub fn explain_usage(&mut self, usage: GeneratorUsage) {
        if usage.busy >= BUSY {
            self.add(format!(
                "the load generator itself was busy {:.0} % of the time, so the figures may be its own limit: give it more \
                 threads (--threads) or its own machine",
                usage.busy * 100.0
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ProtocolError;

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
    fn diagnostics_tell_the_rate_limit_from_the_server() {
        let failures = FailureCounts { rate_limited: 7, rate_limit: Some(120), ..FailureCounts::default() };
        let mut diagnostics = Diagnostics::default();
        diagnostics.explain_failures("requests", &failures, false);
        let [note] = diagnostics.into_notes().try_into().unwrap();
        for part in ["7 requests", "rate limit of 120 a minute", "not the server", "API_RATE_LIMIT_PER_MIN"] {
            assert!(note.contains(part), "{note}");
        }
    }

    #[test]
    fn diagnostics_warn_of_a_busy_generator() {
        for (busy, count) in [(0.5, 0), (0.97, 1)] {
            let mut diagnostics = Diagnostics::default();
            diagnostics.explain_usage(GeneratorUsage { threads: 1, cpu_ms: 1, busy });
            assert_eq!(diagnostics.into_notes().len(), count, "{busy}");
        }
    }
}
