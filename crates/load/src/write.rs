//! The write mode: how many commands a server accepts, and how fast.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::report::{
    CpuMeter, Diagnostics, GateCheck, GateResult, ProgressObserver, Report, RequestReport, per_second,
    serialize_ms,
};
use crate::script::{SayActors, SayScript, Script};
use crate::stats::Stopwatch;
use crate::target::Target;
use crate::worker::{RunControl, WorkerOptions, WorkerPool};

/// How the write and fan-out modes send says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SayLoad {
    /// The API.
    #[serde(rename = "targetUrl")]
    pub target: Target,
    /// Number of connections.
    pub connections: u64,
    /// Says per second on all connections together; unlimited if missing.
    pub rate: Option<f64>,
    /// How long to send.
    #[serde(rename = "durationMs", serialize_with = "serialize_ms")]
    pub duration: Duration,
    /// Deadline of a response.
    #[serde(rename = "timeoutMs", serialize_with = "serialize_ms")]
    pub request_timeout: Duration,
    /// Worker threads of this process.
    #[serde(skip)]
    pub threads: usize,
}

impl SayLoad {
    /// Starts sending; measures from the first say.
    pub(crate) fn start<S: Script>(
        &self,
        scripts: Vec<S>,
        stopwatch: Stopwatch,
        collects_sequences: bool,
    ) -> WorkerPool {
        let mut control = RunControl::until_stopped();
        if let Some(rate) = self.rate {
            control = control.paced(rate, stopwatch);
        }
        control.start_measuring();
        let options = WorkerOptions {
            request_timeout: self.request_timeout,
            reconnects: true,
            collects_sequences,
            ..WorkerOptions::default()
        };
        WorkerPool::start(&self.target, control, stopwatch, options, scripts)
    }
}

/// What the write and fan-out modes check.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Highest share of failed says.
    pub error_rate_max: f64,
    /// Highest 99th percentile of the latencies of says, or of their deliveries, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Lowest number of accepted says, or of deliveries, per second.
    pub per_second: Option<f64>,
}

/// Settings of the write mode, as its report shows them.
#[derive(Clone, Debug, Serialize)]
pub struct WriteTest {
    /// How to send.
    #[serde(flatten)]
    pub load: SayLoad,
    /// The actors and their rooms.
    #[serde(flatten)]
    pub actors: SayActors,
    /// What to check.
    #[serde(skip)]
    pub thresholds: Thresholds,
}

/// The results of the write mode.
#[derive(Clone, Debug, Serialize)]
pub struct WriteResults {
    /// Results of the commands.
    pub write: CommandReport,
}

/// Commands in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandReport {
    /// Their requests.
    #[serde(flatten)]
    pub requests: RequestReport,
    /// Accepted commands per second.
    pub per_second: f64,
}

impl WriteTest {
    /// Sends says and checks the results.
    ///
    /// # Errors
    /// When the server cannot be reached, or responses take much longer than their deadline.
    pub async fn run(&self, observer: &dyn ProgressObserver) -> Result<Report<WriteTest, WriteResults>> {
        let SayLoad { target, connections, duration, request_timeout, threads, .. } = &self.load;
        let connected = tokio::time::timeout(*request_timeout, target.connect()).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        drop(connected.with_context(|| format!("{target} cannot be reached"))?);
        let cpu = CpuMeter::start(*threads);
        let stopwatch = Stopwatch::start();
        let scripts = SayScript::for_connections(target, &self.actors, *connections);
        let workers = self.load.start(scripts, stopwatch, false);
        workers.watch("sending says", *duration, observer).await;
        workers.control().finish();
        let elapsed = stopwatch.elapsed();
        let stats = workers.drain(*request_timeout).await?;
        let generator = cpu.usage();
        let mut diagnostics = Diagnostics::default();
        diagnostics.explain_failures("commands", &stats.failures, target.has_key());
        diagnostics.explain_usage(generator);
        let requests = RequestReport::new(&stats);
        let write = CommandReport { requests, per_second: per_second(stats.completed, elapsed) };
        let gate = self.thresholds.check_writes(&write);
        let results = WriteResults { write };
        Ok(Report { config: self.clone(), results, gate, generator, notes: diagnostics.0 })
    }
}

impl Thresholds {
    /// Checks the results of the write mode.
    #[must_use]
    pub fn check_writes(&self, write: &CommandReport) -> GateResult {
        let requests = &write.requests;
        let error_rate = Some(requests.error_rate);
        let mut checks = vec![GateCheck::at_most("write_error_rate", error_rate, self.error_rate_max)];
        if let Some(p99_ms) = self.p99_ms {
            checks.push(GateCheck::at_most("write_p99", requests.latencies.p99_ms, p99_ms));
        }
        if let Some(min) = self.per_second {
            checks.push(GateCheck::at_least("writes_per_second", Some(write.per_second), min));
        }
        GateResult::new(checks)
    }
}
