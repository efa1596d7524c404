//! What a run measures: wall time, latencies, and how requests failed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem;
use serde::Serialize;

use crate::http::{ProtocolError, ResponseHead};

/// Longest latency recorded as it is; a longer one counts as this.
const MAX_LATENCY_US: u64 = 120_000_000;
/// Significant decimal digits of each recorded value: a quantile is at most 0.1 % too high.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Bytes kept of the first response that refused a request.
const SAMPLE_BYTES: usize = 300;

/// A running stopwatch: the only clock of this crate. Copies share the start, so their readings compare.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a load test measures wall time; it has no engine clock")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    /// Whole microseconds since the start.
    #[must_use]
    pub fn elapsed_us(self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A histogram of latencies. Minimum, maximum and mean are exact.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    min_us: u64,
    max_us: u64,
    sum_us: u64,
}

/// Latencies in a report. Without any, all members but the count are missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencySummary {
    /// Number of latencies.
    pub count: u64,
    /// Minimum.
    pub min_ms: Option<f64>,
    /// Maximum.
    pub max_ms: Option<f64>,
    /// Mean.
    pub avg_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Counts of latencies up to 1, 2, 4, … ms; buckets without any are left out.
    pub histogram: Vec<HistogramBucket>,
}

/// A bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistogramBucket {
    /// Its upper bound, inclusive; the lower one is half of it.
    pub up_to_ms: u64,
    /// Number of latencies in it.
    pub count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS)
            .expect("the bounds and digits are in the library's range");
        Self { histogram, min_us: u64::MAX, max_us: 0, sum_us: 0 }
    }
}

impl Latencies {
    /// Adds one latency, in microseconds.
    pub fn record_us(&mut self, latency_us: u64) {
        self.histogram.saturating_record(latency_us.max(1));
        self.min_us = self.min_us.min(latency_us);
        self.max_us = self.max_us.max(latency_us);
        self.sum_us = self.sum_us.saturating_add(latency_us);
    }

    /// Adds all latencies of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms have the same bounds");
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Number of latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The quantile (0 to 1) in milliseconds: of `n` latencies in order, the one at position `⌈quantile · n⌉`.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let min_us = self.min_us.min(self.max_us);
        self.histogram.value_at_quantile(quantile).clamp(min_us, self.max_us) as f64 / 1e3
    }

    /// The mean in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        self.sum_us as f64 / self.count().max(1) as f64 / 1e3
    }

    /// The maximum in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.max_us as f64 / 1e3
    }

    /// The latencies for a report.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let count = self.count();
        if count == 0 {
            return LatencySummary::default();
        }
        let quantile = |quantile| Some(self.quantile_ms(quantile));
        LatencySummary {
            count,
            min_ms: Some(self.min_us as f64 / 1e3),
            max_ms: Some(self.max_ms()),
            avg_ms: Some((self.mean_ms() * 1e3).round() / 1e3),
            p50_ms: quantile(0.50),
            p90_ms: quantile(0.90),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            histogram: self.buckets(),
        }
    }

    fn buckets(&self) -> Vec<HistogramBucket> {
        let (mut buckets, mut up_to_ms, mut counted) = (Vec::new(), 1, 0);
        while counted < self.count() {
            // Latencies above the recorded maximum belong to the last bucket.
            let up_to_us = if up_to_ms * 1000 >= MAX_LATENCY_US { u64::MAX } else { up_to_ms * 1000 };
            let below = self.histogram.count_between(0, up_to_us);
            if below > counted {
                buckets.push(HistogramBucket { up_to_ms, count: below - counted });
                counted = below;
            }
            up_to_ms *= 2;
        }
        buckets
    }
}

/// Results of the requests of one connection, or of many.
#[derive(Clone, Debug, Default)]
pub struct RequestStats {
    /// Successful responses while measuring.
    pub completed: u64,
    /// Failed requests and connections, at any time.
    pub failed: u64,
    /// Latencies of successful requests, from before a request is sent, while measuring.
    pub latencies: Latencies,
    /// Latencies of failed requests.
    pub failed_latencies: Latencies,
    /// The failures by kind.
    pub failures: FailureCounts,
    /// The sequences of the first events of accepted commands, if they are collected.
    pub sequences: Vec<u64>,
}

/// Failures by kind, as a report shows them. Each failure is of one kind only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureCounts {
    /// Refused by the rate limit (429).
    pub rate_limited: u64,
    /// Refused by moderation (also 429).
    pub moderated: u64,
    /// The API key is missing or wrong (401).
    pub unauthorized: u64,
    /// No response before the deadline.
    pub timeouts: u64,
    /// The connection failed, or the response was not HTTP.
    pub transport_errors: u64,
    /// Any other status that is no success, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Description of the first failure.
    pub first_failure: Option<String>,
    /// The rate limit in requests a minute, if a response named it.
    #[serde(skip)]
    pub rate_limit: Option<u64>,
}

impl FailureCounts {
    /// Counts a response that is no success.
    pub fn record_refusal(&mut self, head: ResponseHead, body: &[u8]) {
        match head.status {
            429 if memmem::find(body, b"ERR_MODERATION_BLOCKED").is_some() => self.moderated += 1,
            429 => {
                self.rate_limited += 1;
                self.rate_limit = head.rate_limit.or(self.rate_limit);
            }
            401 => self.unauthorized += 1,
            status => *self.statuses.entry(status).or_default() += 1,
        }
        self.first_failure.get_or_insert_with(|| {
            let body = String::from_utf8_lossy(&body[..body.len().min(SAMPLE_BYTES)]).into_owned();
            // A terminal may show it.
            format!("status {}: {}", head.status, body.replace(|each: char| each.is_control(), " "))
        });
    }

    /// Counts a request or stream that failed without a response.
    pub fn record_error(&mut self, error: &ProtocolError) {
        self.first_failure.get_or_insert_with(|| format!("connection: {error}"));
        match error {
            ProtocolError::StreamRefused(head) => self.record_refusal(*head, b""),
            ProtocolError::TimedOut => self.timeouts += 1,
            _ => self.transport_errors += 1,
        }
    }

    /// Adds the failures of another set.
    pub fn merge(&mut self, other: Self) {
        self.rate_limited += other.rate_limited;
        self.moderated += other.moderated;
        self.unauthorized += other.unauthorized;
        self.timeouts += other.timeouts;
        self.transport_errors += other.transport_errors;
        self.rate_limit = self.rate_limit.or(other.rate_limit);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

impl RequestStats {
    /// Counts a response that is no success.
    pub fn record_refusal(&mut self, head: ResponseHead, body: &[u8], latency_us: u64) {
        self.failed += 1;
        self.failed_latencies.record_us(latency_us);
        self.failures.record_refusal(head, body);
    }

    /// Counts a request or stream that failed without a response.
    pub fn record_error(&mut self, error: &ProtocolError, latency_us: u64) {
        self.failed += 1;
        self.failed_latencies.record_us(latency_us);
        self.failures.record_error(error);
    }

    /// Adds the results of another connection.
    pub fn merge(&mut self, mut other: Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.latencies.merge(&other.latencies);
        self.failed_latencies.merge(&other.failed_latencies);
        self.failures.merge(other.failures);
        self.sequences.append(&mut other.sequences);
    }
}
