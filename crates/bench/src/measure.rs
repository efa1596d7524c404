//! Sends requests to one process and measures rates, latencies and CPU time.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_load::script::{SayActors, SayScript, Script};
use agentcafe_load::stats::{RequestStats, Stopwatch};
use agentcafe_load::target::Target;
use agentcafe_load::worker::{RunControl, WorkerOptions, WorkerPool};
use anyhow::{Context, Result, bail};

use crate::process::Process;

/// Deadline of the last responses of a run.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of a run of a known size, for each 1,000 requests; [`DRAIN_DEADLINE`] comes on top.
const DEADLINE_PER_1000: Duration = Duration::from_secs(1);
/// Connections that fill a store: many, so that the server commits large batches.
const PRELOAD_CONNECTIONS: u64 = 256;

/// The server under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeasuredServer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Its process.
    pub(crate) process: Process,
    /// Its database server, whose CPU time counts too, including that of its children.
    pub(crate) database: Option<Process>,
}

impl MeasuredServer {
    /// The target of requests to it.
    pub(crate) fn target(self) -> Target {
        Target::from(self.address)
    }

    /// Scripts that send says on this many connections.
    pub(crate) fn says(self, connections: u64) -> Vec<SayScript> {
        SayScript::for_connections(&self.target(), &SayActors::default(), connections)
    }

    /// Starts sending, on one connection for each script.
    pub(crate) fn load<S: Script>(self, control: RunControl, scripts: Vec<S>) -> WorkerPool {
        WorkerPool::start(&self.target(), control, Stopwatch::start(), WorkerOptions::default(), scripts)
    }
}

/// The results of a run.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    /// Responses and latencies.
    pub(crate) stats: RequestStats,
    /// Duration of the measurement.
    pub(crate) elapsed: Duration,
    /// CPU time of the server.
    pub(crate) server_cpu: Duration,
    /// CPU time of its database server.
    pub(crate) database_cpu: Duration,
    /// CPU time of this process, the load generator.
    pub(crate) generator_cpu: Duration,
}

impl Measurement {
    /// Successful responses per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.stats.completed as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU time of one of the processes per success, in microseconds.
    pub(crate) fn us_per_success(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.stats.completed as f64
    }
}

/// The wall time and the CPU time of all processes at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsageSample {
    stopwatch: Stopwatch,
    server: MeasuredServer,
    server_cpu: Duration,
    database_cpu: Duration,
    generator_cpu: Duration,
}

impl UsageSample {
    /// Takes a sample.
    ///
    /// # Errors
    /// When the server has ended.
    pub(crate) fn take(server: MeasuredServer) -> Result<Self> {
        let server_cpu = server.process.cpu().context("the measured process is gone")?;
        let database_cpu = match server.database {
            Some(database) => database.cpu_with_children().context("the database server is gone")?,
            None => Duration::ZERO,
        };
        let generator_cpu = Process::current().cpu()?;
        Ok(Self { stopwatch: Stopwatch::start(), server, server_cpu, database_cpu, generator_cpu })
    }

    /// The difference to a sample taken now; its request statistics are empty.
    ///
    /// # Errors
    /// When the server has ended.
    pub(crate) fn elapsed_usage(self) -> Result<Measurement> {
        let elapsed = self.stopwatch.elapsed();
        let now = Self::take(self.server)?;
        Ok(Measurement {
            stats: RequestStats::default(),
            elapsed,
            server_cpu: now.server_cpu.saturating_sub(self.server_cpu),
            database_cpu: now.database_cpu.saturating_sub(self.database_cpu),
            generator_cpu: now.generator_cpu.saturating_sub(self.generator_cpu),
        })
    }
}

/// Measures for `duration`, after a warm-up that does not count.
///
/// # Errors
/// When the server has ended or leaves requests unanswered.
pub(crate) async fn measure_for<S: Script>(
    server: MeasuredServer,
    scripts: Vec<S>,
    warm_up: Duration,
    duration: Duration,
) -> Result<Measurement> {
    let workers = server.load(RunControl::until_stopped(), scripts);
    tokio::time::sleep(warm_up).await;
    let before = UsageSample::take(server)?;
    workers.control().start_measuring();
    tokio::time::sleep(duration).await;
    workers.control().stop();
    let measurement = before.elapsed_usage()?;
    let stats = workers.join(DRAIN_DEADLINE).await?;
    Ok(Measurement { stats, ..measurement })
}

/// Measures `count` requests, from the first to the last.
///
/// # Errors
/// When the server has ended or leaves requests unanswered.
pub(crate) async fn measure_requests<S: Script>(
    server: MeasuredServer,
    scripts: Vec<S>,
    count: u64,
) -> Result<Measurement> {
    let before = UsageSample::take(server)?;
    let workers = server.load(RunControl::for_requests(count), scripts);
    let stats = workers.join(deadline_for(count)).await?;
    Ok(Measurement { stats, ..before.elapsed_usage()? })
}

/// Fills the server's log with says until it reaches `sequence` (or a few more).
///
/// # Errors
/// When a say is refused or remains unanswered.
pub(crate) async fn preload(server: MeasuredServer, sequence: u64) -> Result<()> {
    let scripts = server.says(PRELOAD_CONNECTIONS);
    let workers = server.load(RunControl::until_sequence(sequence), scripts);
    let stats = workers.join(deadline_for(sequence)).await?;
    match stats.failures.first_failure {
        Some(sample) => bail!("{} says refused while filling the log; the first: {sample}", stats.failed),
        None => Ok(()),
    }
}

fn deadline_for(requests: u64) -> Duration {
    DRAIN_DEADLINE + DEADLINE_PER_1000 * u32::try_from(requests / 1000).unwrap_or(u32::MAX)
}
