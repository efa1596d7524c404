//! The gate mode: checks the latency and error rate of reads, and how fast streams become ready. Writes nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::http::ProtocolError;
use crate::report::{
    CpuMeter, Diagnostics, GateCheck, GateResult, ProgressObserver, Report, RequestReport, RunProgress,
    STREAMS, serialize_ms, share,
};
use crate::script::GetScript;
use crate::stats::{FailureCounts, LatencySummary, RequestStats, Stopwatch};
use crate::subscriber::wait_until_ready;
use crate::target::{Target, serialize_path};
use crate::worker::{LatencyEnd, RunControl, WorkerOptions, WorkerPool};

/// Settings of the gate mode, as its report shows them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateTest {
    /// The API.
    #[serde(rename = "targetUrl")]
    pub target: Target,
    /// The server of the streams.
    #[serde(rename = "streamUrl")]
    pub stream_target: Target,
    /// How long to send requests.
    #[serde(rename = "durationMs", serialize_with = "serialize_ms")]
    pub duration: Duration,
    /// Number of connections.
    pub concurrency: usize,
    /// Number of sequential requests before the test.
    pub warmup_requests: u64,
    /// Deadline of a response.
    #[serde(rename = "timeoutMs", serialize_with = "serialize_ms")]
    pub request_timeout: Duration,
    /// Number of streams, all opened at once.
    pub stream_fanout: usize,
    /// Deadline of a stream's `ready` frame.
    #[serde(rename = "streamTimeoutMs", serialize_with = "serialize_ms")]
    pub stream_timeout: Duration,
    /// Path of the stream.
    #[serde(serialize_with = "serialize_path")]
    pub stream_path: String,
    /// Path of the first request.
    #[serde(serialize_with = "serialize_path")]
    pub api_path: String,
    /// Path of the second request; the two alternate.
    #[serde(serialize_with = "serialize_path")]
    pub api_path_alt: String,
    /// Objectives to check.
    #[serde(flatten)]
    pub objectives: Objectives,
    /// Worker threads of this process.
    #[serde(skip)]
    pub threads: usize,
}

/// Service level objectives.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Objectives {
    /// Highest 95th percentile of request latencies, in milliseconds.
    #[serde(rename = "sloApiP95Ms")]
    pub api_p95_ms: f64,
    /// Highest 99th percentile of request latencies, in milliseconds.
    #[serde(rename = "sloApiP99Ms")]
    pub api_p99_ms: f64,
    /// Highest share of failed requests.
    #[serde(rename = "sloApiErrorRateMax")]
    pub api_error_rate_max: f64,
    /// Highest 95th percentile of the time until streams are ready, in milliseconds.
    #[serde(rename = "sloStreamReadyP95Ms")]
    pub stream_ready_p95_ms: f64,
    /// Lowest share of streams that become ready.
    #[serde(rename = "sloStreamSuccessRateMin")]
    pub stream_success_rate_min: f64,
}

/// The results of the gate mode.
#[derive(Clone, Debug, Serialize)]
pub struct GateResults {
    /// Results of the requests.
    pub api: RequestReport,
    /// Results of the streams.
    pub stream: StreamReport,
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
    pub async fn run(&self, observer: &dyn ProgressObserver) -> Result<Report<GateTest, GateResults>> {
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
            diagnostics.0.push(self.objectives.explain_without_rate_limit(&api, &stream));
        }
        let results = GateResults { api, stream };
        Ok(Report { config: self.clone(), results, gate, generator, notes: diagnostics.0 })
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
            ..WorkerOptions::default()
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
    #[must_use]
    pub fn explain_without_rate_limit(&self, api: &RequestReport, stream: &StreamReport) -> String {
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
