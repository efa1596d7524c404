//! The gate mode: checks the latency and error rate of reads, and how fast streams become ready. Writes nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::control::RunControl;
use crate::http::ProtocolError;
use crate::report::{
    CpuMeter, Diagnostics, GateCheck, GateResult, GeneratorUsage, ProgressObserver, RequestReport,
    RunProgress, STREAMS, share, whole_ms,
};
use crate::script::GetScript;
use crate::stats::{FailureCounts, LatencySummary, RequestStats, Stopwatch};
use crate::subscriber::wait_until_ready;
use crate::target::{Target, shown_path};
use crate::worker::{LatencyEnd, WorkerOptions, WorkerPool};

/// Settings of the gate mode.
#[derive(Clone, Debug)]
pub struct GateTest {
    /// The API.
    pub target: Target,
    /// The server of the streams.
    pub stream_target: Target,
    /// Path of the first request.
    pub api_path: String,
    /// Path of the second request; the two alternate.
    pub api_path_alt: String,
    /// Path of the stream.
    pub stream_path: String,
    /// How long to send requests.
    pub duration: Duration,
    /// Number of connections.
    pub concurrency: usize,
    /// Number of sequential requests before the test.
    pub warmup_requests: u64,
    /// Deadline of a response.
    pub request_timeout: Duration,
    /// Number of streams, all opened at once.
    pub stream_fanout: usize,
    /// Deadline of a stream's `ready` frame.
    pub stream_timeout: Duration,
    /// Objectives to check.
    pub objectives: Objectives,
    /// Worker threads of this process.
    pub threads: usize,
}

/// Service level objectives.
#[derive(Clone, Copy, Debug)]
pub struct Objectives {
    /// Highest 95th percentile of request latencies, in milliseconds.
    pub api_p95_ms: f64,
    /// Highest 99th percentile of request latencies, in milliseconds.
    pub api_p99_ms: f64,
    /// Highest share of failed requests.
    pub api_error_rate_max: f64,
    /// Highest 95th percentile of the time until streams are ready, in milliseconds.
    pub stream_ready_p95_ms: f64,
    /// Lowest share of streams that become ready.
    pub stream_success_rate_min: f64,
}

/// The report of the gate mode.
#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    /// Settings of the run.
    pub config: GateConfig,
    /// Results of the requests.
    pub api: RequestReport,
    /// Results of the streams.
    pub stream: StreamReport,
    /// Results of the checks.
    pub gate: GateResult,
    /// What the load generator used.
    pub generator: GeneratorUsage,
    /// Explanations for the operator.
    pub notes: Vec<String>,
}

/// Settings of the run in its report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each member repeats the setting of the same name")]
pub struct GateConfig {
    pub target_url: String,
    pub stream_url: String,
    pub duration_ms: u64,
    pub concurrency: usize,
    pub warmup_requests: u64,
    pub timeout_ms: u64,
    pub stream_fanout: usize,
    pub stream_timeout_ms: u64,
    pub stream_path: String,
    pub api_path: String,
    pub api_path_alt: String,
    pub slo_api_p95_ms: f64,
    pub slo_api_p99_ms: f64,
    pub slo_api_error_rate_max: f64,
    pub slo_stream_ready_p95_ms: f64,
    pub slo_stream_success_rate_min: f64,
}

/// Streams in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Time from connecting until `ready`, of the streams that became ready.
    #[serde(flatten)]
    pub latencies: LatencySummary,
    /// Number of streams.
    pub total: u64,
    /// Number of streams that did not become ready.
    pub errors: u64,
    /// Share of streams that became ready; 0 without streams.
    pub success_rate: f64,
    /// Failures by kind.
    #[serde(flatten)]
    pub failures: FailureCounts,
}

impl GateTest {
    /// Sends requests, then opens streams, and checks the results.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn run(&self, observer: &dyn ProgressObserver) -> Result<GateReport> {
        self.warm_up(observer).await.with_context(|| format!("{} cannot be reached", self.target))?;
        let cpu = CpuMeter::start(self.threads);
        let api = self.send_requests(observer).await?;
        let streams = self.open_streams(observer).await;
        let generator = cpu.usage();
        let mut diagnostics = Diagnostics::default();
        diagnostics.explain_failures("requests", &api.failures, self.target.has_key());
        diagnostics.explain_failures(STREAMS, &streams.failures, self.stream_target.has_key());
        diagnostics.explain_usage(generator);
        let (api, stream) = (RequestReport::new(&api), StreamReport::new(&streams));
        let gate = self.objectives.check(&api, &stream);
        if !gate.pass && api.failures.rate_limited + stream.failures.rate_limited > 0 {
            diagnostics.add(self.objectives.explain_without_rate_limit(&api, &stream));
        }
        Ok(GateReport {
            config: self.config(),
            gate,
            api,
            stream,
            generator,
            notes: diagnostics.into_notes(),
        })
    }

    async fn warm_up(&self, observer: &dyn ProgressObserver) -> Result<(), ProtocolError> {
        let stopwatch = Stopwatch::start();
        let request = self.target.get(&self.api_path);
        let mut kept: Option<Connection> = None;
        for done in 0..self.warmup_requests {
            let (elapsed, duration) = (stopwatch.elapsed(), self.request_timeout);
            observer.show(&RunProgress { phase: "warming up", elapsed, duration, done, failed: 0 });
            let exchange = tokio::time::timeout(self.request_timeout, async {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => Connection::open(&self.target).await?,
                };
                connection.exchange(&request).await?;
                Ok::<_, ProtocolError>(connection)
            });
            let connection = exchange.await.unwrap_or(Err(ProtocolError::TimedOut))?;
            kept = connection.is_reusable().then_some(connection);
        }
        Ok(())
    }

    async fn send_requests(&self, observer: &dyn ProgressObserver) -> Result<RequestStats> {
        let script = GetScript::new(&self.target, &[&self.api_path, &self.api_path_alt]);
        let options = WorkerOptions {
            request_timeout: self.request_timeout,
            reconnects: true,
            latency_end: LatencyEnd::Head,
            collects_sequences: false,
        };
        let control = RunControl::until_stopped();
        control.start_measuring();
        let scripts = vec![script; self.concurrency];
        let workers = WorkerPool::start(&self.target, control, Stopwatch::start(), options, scripts);
        workers.watch("requesting", self.duration, observer).await;
        workers.drain(self.request_timeout).await
    }

    async fn open_streams(&self, observer: &dyn ProgressObserver) -> RequestStats {
        let stopwatch = Stopwatch::start();
        let mut streams = JoinSet::new();
        for _ in 0..self.stream_fanout {
            let (target, path, timeout) =
                (self.stream_target.clone(), self.stream_path.clone(), self.stream_timeout);
            streams.spawn(async move {
                let begun_us = stopwatch.elapsed_us();
                let ready = tokio::time::timeout(timeout, wait_until_ready(&target, &path)).await;
                (ready.unwrap_or(Err(ProtocolError::TimedOut)), stopwatch.elapsed_us() - begun_us)
            });
        }
        let mut stats = RequestStats::default();
        while let Some(joined) = streams.join_next().await {
            match joined.expect("waiting for a stream does not panic") {
                (Ok(()), latency_us) => {
                    stats.completed += 1;
                    stats.latencies.record_us(latency_us);
                }
                (Err(error), latency_us) => stats.record_error(&error, latency_us),
            }
            observer.show(&RunProgress {
                phase: "opening streams",
                elapsed: stopwatch.elapsed(),
                duration: self.stream_timeout,
                done: stats.completed,
                failed: stats.failed,
            });
        }
        stats
    }

    fn config(&self) -> GateConfig {
        GateConfig {
            target_url: self.target.to_string(),
            stream_url: self.stream_target.to_string(),
            duration_ms: whole_ms(self.duration),
            concurrency: self.concurrency,
            warmup_requests: self.warmup_requests,
            timeout_ms: whole_ms(self.request_timeout),
            stream_fanout: self.stream_fanout,
            stream_timeout_ms: whole_ms(self.stream_timeout),
            stream_path: shown_path(&self.stream_path),
            api_path: shown_path(&self.api_path),
            api_path_alt: shown_path(&self.api_path_alt),
            slo_api_p95_ms: self.objectives.api_p95_ms,
            slo_api_p99_ms: self.objectives.api_p99_ms,
            slo_api_error_rate_max: self.objectives.api_error_rate_max,
            slo_stream_ready_p95_ms: self.objectives.stream_ready_p95_ms,
            slo_stream_success_rate_min: self.objectives.stream_success_rate_min,
        }
    }
}

impl StreamReport {
    /// Reports these results.
    #[must_use]
    pub fn new(stats: &RequestStats) -> Self {
        let total = stats.completed + stats.failed;
        Self {
            latencies: stats.latencies.summary(),
            total,
            errors: stats.failed,
            success_rate: share(stats.completed, total, 0.0),
            failures: stats.failures.clone(),
        }
    }
}

impl Objectives {
    /// Checks the results.
    #[must_use]
    pub fn check(&self, api: &RequestReport, stream: &StreamReport) -> GateResult {
        let (ready_p95, success_rate) = (stream.latencies.p95_ms, Some(stream.success_rate));
        GateResult::new(vec![
            GateCheck::at_most("api_p95", api.latencies.p95_ms, self.api_p95_ms),
            GateCheck::at_most("api_p99", api.latencies.p99_ms, self.api_p99_ms),
            GateCheck::at_most("api_error_rate", Some(api.error_rate), self.api_error_rate_max),
            GateCheck::at_most("stream_ready_p95", ready_p95, self.stream_ready_p95_ms),
            GateCheck::at_least("stream_success_rate", success_rate, self.stream_success_rate_min),
        ])
    }

    /// Says what the result would be without the requests that the rate limit refused.
    fn explain_without_rate_limit(&self, api: &RequestReport, stream: &StreamReport) -> String {
        let (mut api, mut stream) = (api.clone(), stream.clone());
        api.errors -= api.failures.rate_limited;
        api.error_rate = share(api.errors, api.total - api.failures.rate_limited, 1.0);
        stream.errors -= stream.failures.rate_limited;
        let total = stream.total - stream.failures.rate_limited;
        stream.success_rate = share(total - stream.errors, total, 0.0);
        let gate = self.check(&api, &stream);
        if gate.pass {
            return "without its rate limit, the server would pass the gate".to_owned();
        }
        format!("without its rate limit, the server would still fail the gate: {}", gate.failed().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let head = crate::http::parse_head(wire).unwrap().unwrap();
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
}
