//! What all reports share: requests, checks, generator usage and diagnostics; and progress while a run lasts.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Serialize, Serializer};

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
impl ProgressObserver for () {
    fn show(&self, _progress: &RunProgress) {}
}

/// The report of a mode.
#[derive(Clone, Debug, Serialize)]
pub struct Report<Test, Results> {
    /// Settings of the run.
    pub config: Test,
    /// Results of the run.
    #[serde(flatten)]
    pub results: Results,
    /// Results of the checks.
    pub gate: GateResult,
    /// What the load generator used.
    pub generator: GeneratorUsage,
    /// Explanations for the operator.
    pub notes: Vec<String>,
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

/// Serialises a duration as [`whole_ms`].
pub(crate) fn serialize_ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_ms(*duration))
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
pub struct Diagnostics(pub Vec<String>);

impl Diagnostics {
    /// Explains failures of `what` (requests, streams) that have another cause than a slow server.
    pub fn explain_failures(&mut self, what: &str, failures: &FailureCounts, has_key: bool) {
        if failures.rate_limited > 0 {
            let limit = failures.rate_limit.map_or_else(String::new, |limit| format!(" of {limit} a minute"));
            self.0.push(format!(
                "{} {what} were refused by the server's rate limit{limit}, so this run measures the limit and not the \
                 server: set API_RATE_LIMIT_PER_MIN on the server to 0 (no limit) or a higher value during the test",
                failures.rate_limited
            ));
        }
        if failures.moderated > 0 {
            self.0.push(format!(
                "{} {what} were refused by moderation: use more actors (--actors) or a lower rate (--rate), or set \
                 MOD_MIN_ACTION_INTERVAL_MS and MOD_MAX_ACTIONS_PER_WINDOW on the server to 0 during the test",
                failures.moderated
            ));
        }
        if failures.unauthorized > 0 {
            let hint =
                if has_key { "the key in LOAD_API_KEY is not the server's" } else { "set LOAD_API_KEY" };
            self.0.push(format!(
                "{} {what} were refused without a valid API key: {hint}",
                failures.unauthorized
            ));
        }
        if failures.transport_errors > 0 {
            self.0.push(format!("{} {what} failed because the connection failed", failures.transport_errors));
        }
        if failures.timeouts > 0 {
            self.0.push(format!("{} {what} timed out", failures.timeouts));
        }
        if let Some(count) = failures.statuses.get(&503) {
            let reason = match what {
                STREAMS => {
                    "the server has reached its limit of streams (API_STREAM_MAX_CLIENTS), or is not ready"
                }
                _ => "the server is overloaded or not ready; see its log",
            };
            self.0.push(format!("{count} {what} were answered with 503: {reason}"));
        }
    }

    /// Warns if the generator may be what limits the figures.
    pub fn explain_usage(&mut self, usage: GeneratorUsage) {
        if usage.busy >= BUSY {
            self.0.push(format!(
                "the load generator itself was busy {:.0} % of the time, so the figures may be its own limit: give it more \
                 threads (--threads) or its own machine",
                usage.busy * 100.0
            ));
        }
    }
}
