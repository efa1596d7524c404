//! What reports have in common: requests and their failures, checks, and what it cost to ask.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::latency::Summary;
use crate::stopwatch::Stopwatch;
use crate::tally::{Failures, Tally};

/// Requests in a report: the latencies of those that succeeded, and what became of the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Latencies of what succeeded.
    #[serde(flatten)]
    pub latencies: Summary,
    /// How many there were.
    pub total: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Their share; 1 if there was nothing.
    pub error_rate: f64,
    /// How they failed.
    #[serde(flatten)]
    pub kinds: Kinds,
    /// Latencies of what failed.
    pub failed: Summary,
}

/// Failures by kind in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kinds {
    /// Refused by the rate limit.
    pub rate_limited: u64,
    /// Refused by moderation.
    pub moderated: u64,
    /// Refused for want of the right key.
    pub unauthorized: u64,
    /// Not answered in time.
    pub timeouts: u64,
    /// No connection, or one that broke.
    pub transport_errors: u64,
    /// Other refusals, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// What the first failure looked like.
    pub first_failure: Option<String>,
}

impl Kinds {
    /// Failures, and what the first of them looked like.
    #[must_use]
    pub fn of(failures: &Failures, first_failure: Option<String>) -> Self {
        Self {
            rate_limited: failures.rate_limited,
            moderated: failures.moderated,
            unauthorized: failures.unauthorized,
            timeouts: failures.timeouts,
            transport_errors: failures.transport,
            statuses: failures.statuses.clone(),
            first_failure,
        }
    }
}

impl Requests {
    /// What came of the requests.
    #[must_use]
    pub fn of(tally: &Tally) -> Self {
        let total = tally.completed + tally.failed;
        Self {
            latencies: tally.latencies.summary(),
            total,
            errors: tally.failed,
            error_rate: share(tally.failed, total, 1.0),
            kinds: Kinds::of(&tally.failures, tally.failure_sample.clone()),
            failed: tally.failed_latencies.summary(),
        }
    }
}

/// The share of `part` in `total`; `of_nothing` if there is nothing.
#[must_use]
pub fn share(part: u64, total: u64, of_nothing: f64) -> f64 {
    if total == 0 { of_nothing } else { part as f64 / total as f64 }
}

/// Whole milliseconds, as settings and reports have them.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How often a second, to a tenth.
#[must_use]
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-3) * 10.0).round() / 10.0
}

/// One condition that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What is looked at.
    pub name: &'static str,
    /// What it is; none if it could not be told.
    pub actual: Option<f64>,
    /// What it may be at most, or must be at least.
    pub expected: f64,
    /// Whether it holds; what could not be told does not.
    pub pass: bool,
}

impl Check {
    /// At most `expected`.
    #[must_use]
    pub fn at_most(name: &'static str, actual: Option<f64>, expected: f64) -> Self {
        Self { name, actual, expected, pass: actual.is_some_and(|actual| actual <= expected) }
    }

    /// At least `expected`.
    #[must_use]
    pub fn at_least(name: &'static str, actual: Option<f64>, expected: f64) -> Self {
        Self { name, actual, expected, pass: actual.is_some_and(|actual| actual >= expected) }
    }
}

/// All conditions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether all hold.
    pub pass: bool,
    /// Each of them.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// The verdict of these checks.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        Self { pass: checks.iter().all(|check| check.pass), checks }
    }

    /// The checks that do not hold.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|check| !check.pass).map(|check| check.name).collect()
    }
}

/// What the load itself cost this process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// The threads that could work.
    pub threads: usize,
    /// CPU time.
    pub cpu_ms: u64,
    /// The share of its threads' time that it worked.
    pub busy: f64,
}

/// A reading of the clock and of this process's CPU time.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    threads: usize,
    stopwatch: Stopwatch,
    cpu: Duration,
}

impl Effort {
    /// Reads both now.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        Self { threads, stopwatch: Stopwatch::start(), cpu: cpu_time() }
    }

    /// What was used since.
    #[must_use]
    pub fn so_far(self) -> Generator {
        let cpu = cpu_time().saturating_sub(self.cpu);
        let offered = self.stopwatch.elapsed().as_secs_f64() * self.threads as f64;
        let busy = (cpu.as_secs_f64() / offered.max(1e-3) * 100.0).round() / 100.0;
        Generator { threads: self.threads, cpu_ms: whole_ms(cpu), busy }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Neither is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_holds_or_not_and_what_is_unknown_does_not() {
        let cases = [
            (Check::at_most("a", Some(200.0), 200.0), true),
            (Check::at_most("a", Some(200.001), 200.0), false),
            (Check::at_most("a", None, 200.0), false),
            (Check::at_least("a", Some(0.98), 0.98), true),
            (Check::at_least("a", Some(0.97), 0.98), false),
            (Check::at_least("a", None, 0.98), false),
        ];
        for (check, pass) in cases {
            assert_eq!(check.pass, pass, "{check:?}");
            assert_eq!(Verdict::of(vec![check]).pass, pass);
        }
        let verdict = Verdict::of(vec![Check::at_most("a", Some(1.0), 2.0), Check::at_most("b", None, 2.0)]);
        assert_eq!((verdict.pass, verdict.failed()), (false, vec!["b"]));
    }

    #[test]
    fn shares_of_nothing_are_given() {
        assert_eq!([share(1, 4, 1.0), share(0, 0, 1.0), share(0, 0, 0.0)], [0.25, 1.0, 0.0]);
    }

    #[test]
    fn requests_are_counted_and_failures_named() {
        let mut tally = Tally { completed: 3, ..Tally::default() };
        (0..3).for_each(|_| tally.latencies.record_us(2000));
        tally.lose(&crate::http::ProtocolError::TimedOut, 9000);
        let json = serde_json::to_value(Requests::of(&tally)).unwrap();
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
        let nothing = serde_json::to_value(Requests::of(&Tally::default())).unwrap();
        assert_eq!((&nothing["p95Ms"], &nothing["errorRate"]), (&serde_json::Value::Null, &1.0.into()));
    }
}
