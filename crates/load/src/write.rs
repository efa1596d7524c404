//! The write mode: how many commands a server accepts, and how fast.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::control::RunControl;
use crate::report::{
    CpuMeter, Diagnostics, GateCheck, GateResult, GeneratorUsage, ProgressObserver, RequestReport,
    per_second, whole_ms,
};
use crate::script::{SayActors, SayScript, Script};
use crate::stats::Stopwatch;
use crate::target::Target;
use crate::worker::{LatencyEnd, WorkerOptions, WorkerPool};

/// How the write and fan-out modes send says.
#[derive(Clone, Debug)]
pub struct SayLoad {
    /// The API.
    pub target: Target,
    /// Number of connections.
    pub connections: u64,
    /// Says per second on all connections together; unlimited if missing.
    pub rate: Option<f64>,
    /// How long to send.
    pub duration: Duration,
    /// Deadline of a response.
    pub request_timeout: Duration,
    /// Worker threads of this process.
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
            latency_end: LatencyEnd::Body,
            collects_sequences,
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

/// Settings of the write mode.
#[derive(Clone, Debug)]
pub struct WriteTest {
    /// How to send.
    pub load: SayLoad,
    /// Who says it where.
    pub actors: SayActors,
    /// What to check.
    pub thresholds: Thresholds,
}

/// The report of the write mode.
#[derive(Clone, Debug, Serialize)]
pub struct WriteReport {
    /// Settings of the run.
    pub config: WriteConfig,
    /// Results of the commands.
    pub write: CommandReport,
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
#[expect(missing_docs, reason = "each member repeats the option of the same name")]
pub struct WriteConfig {
    pub target_url: String,
    pub tenant_id: String,
    pub room_id_prefix: String,
    pub rooms: u64,
    pub actors: u64,
    pub connections: u64,
    pub rate: Option<f64>,
    pub duration_ms: u64,
    pub timeout_ms: u64,
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
    pub async fn run(&self, observer: &dyn ProgressObserver) -> Result<WriteReport> {
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
        Ok(WriteReport { config: self.config(), write, gate, generator, notes: diagnostics.into_notes() })
    }

    fn config(&self) -> WriteConfig {
        WriteConfig {
            target_url: self.load.target.to_string(),
            tenant_id: self.actors.tenant.clone(),
            room_id_prefix: format!("{}-", self.actors.room_prefix),
            rooms: self.actors.rooms,
            actors: self.actors.actors,
            connections: self.load.connections,
            rate: self.load.rate,
            duration_ms: whole_ms(self.load.duration),
            timeout_ms: whole_ms(self.load.request_timeout),
        }
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
