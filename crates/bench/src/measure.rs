//! Plays scripts on many connections against one process and says what that cost it.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_load::control::Control;
use agentcafe_load::play::Manner;
use agentcafe_load::run::Run;
use agentcafe_load::script::{Crowd, SayScript, Script};
use agentcafe_load::stopwatch::Stopwatch;
use agentcafe_load::tally::Tally;
use agentcafe_load::target::Target;
use anyhow::{Context, Result, bail};

use crate::process::Process;

/// How long the last answers of a run may take.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// A run of a known size may take this long for each 1,000 requests, and a drain deadline more.
const DEADLINE_PER_1000: Duration = Duration::from_secs(1);
/// Connections that fill a store: deep, so that the server commits large groups.
const PRELOAD_CONNECTIONS: u64 = 256;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose CPU time it costs.
    pub process: Process,
    /// The database server whose CPU time it costs too, that of its children included.
    pub database: Option<Process>,
}

impl Subject {
    /// How requests reach it.
    #[must_use]
    pub fn target(self) -> Target {
        Target::from(self.address)
    }

    /// Says to it on so many connections.
    #[must_use]
    pub fn says(self, connections: u64) -> Vec<SayScript> {
        SayScript::for_connections(&self.target(), &Crowd::default(), connections)
    }

    /// Loads it, one connection for each script.
    #[must_use]
    pub fn load<S: Script>(self, control: Control, scripts: Vec<S>) -> Run {
        Run::start(&self.target(), control, Stopwatch::start(), Manner::default(), scripts)
    }
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Answers and latencies.
    pub tally: Tally,
    /// How long was measured.
    pub elapsed: Duration,
    /// CPU time of the subject meanwhile.
    pub subject_cpu: Duration,
    /// CPU time of its database server meanwhile.
    pub database_cpu: Duration,
    /// CPU time of this process meanwhile.
    pub generator_cpu: Duration,
}

impl Measurement {
    /// Expected answers a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.tally.completed as f64 / self.elapsed.as_secs_f64()
    }

    /// The subject's CPU time for each expected answer, in microseconds.
    #[must_use]
    pub fn subject_cpu_us(&self) -> f64 {
        self.subject_cpu.as_secs_f64() * 1e6 / self.tally.completed as f64
    }

    /// The CPU time of the subject's database server for each expected answer, in microseconds.
    #[must_use]
    pub fn database_cpu_us(&self) -> f64 {
        self.database_cpu.as_secs_f64() * 1e6 / self.tally.completed as f64
    }

    /// This process's CPU time for each expected answer, in microseconds.
    #[must_use]
    pub fn generator_cpu_us(&self) -> f64 {
        self.generator_cpu.as_secs_f64() * 1e6 / self.tally.completed as f64
    }
}

/// Readings of the clock and of all processes' CPU time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    stopwatch: Stopwatch,
    subject: Subject,
    subject_cpu: Duration,
    database_cpu: Duration,
    generator_cpu: Duration,
}

impl Reading {
    /// Reads all now.
    ///
    /// # Errors
    /// When the subject is gone.
    pub fn take(subject: Subject) -> Result<Self> {
        let subject_cpu = subject.process.cpu().context("the measured process is gone")?;
        let database_cpu = match subject.database {
            Some(database) => database.cpu_of_family().context("the database server is gone")?,
            None => Duration::ZERO,
        };
        let generator_cpu = Process::current().cpu()?;
        Ok(Self { stopwatch: Stopwatch::start(), subject, subject_cpu, database_cpu, generator_cpu })
    }

    /// What happened since, with a tally yet to be filled in.
    ///
    /// # Errors
    /// When the subject is gone.
    pub fn until_now(self) -> Result<Measurement> {
        let elapsed = self.stopwatch.elapsed();
        let now = Self::take(self.subject)?;
        Ok(Measurement {
            tally: Tally::default(),
            elapsed,
            subject_cpu: now.subject_cpu.saturating_sub(self.subject_cpu),
            database_cpu: now.database_cpu.saturating_sub(self.database_cpu),
            generator_cpu: now.generator_cpu.saturating_sub(self.generator_cpu),
        })
    }
}

/// Measures for `duration`, after a warm-up that does not count.
///
/// # Errors
/// When the subject is gone or leaves requests unanswered.
pub async fn measure_for<S: Script>(
    subject: Subject,
    scripts: Vec<S>,
    warm_up: Duration,
    duration: Duration,
) -> Result<Measurement> {
    let run = subject.load(Control::until_stopped(), scripts);
    tokio::time::sleep(warm_up).await;
    let before = Reading::take(subject)?;
    run.control().measure();
    tokio::time::sleep(duration).await;
    run.control().stop();
    let measurement = before.until_now()?;
    let tally = run.join(DRAIN_DEADLINE).await?;
    Ok(Measurement { tally, ..measurement })
}

/// Measures so many requests, from the first to the last.
///
/// # Errors
/// When the subject is gone or leaves requests unanswered.
pub async fn measure_requests<S: Script>(
    subject: Subject,
    scripts: Vec<S>,
    count: u64,
) -> Result<Measurement> {
    let before = Reading::take(subject)?;
    let run = subject.load(Control::of_requests(count), scripts);
    let tally = run.join(deadline_for(count)).await?;
    Ok(Measurement { tally, ..before.until_now()? })
}

/// Fills the subject's log with says until it reaches `sequence` (or a few more).
///
/// # Errors
/// When a say is refused or remains unanswered.
pub async fn preload(subject: Subject, sequence: u64) -> Result<()> {
    let scripts = subject.says(PRELOAD_CONNECTIONS);
    let run = subject.load(Control::until_sequence(sequence), scripts);
    let tally = run.join(deadline_for(sequence)).await?;
    match tally.failure_sample {
        Some(sample) => bail!("{} says refused while filling the log; the first: {sample}", tally.failed),
        None => Ok(()),
    }
}

fn deadline_for(requests: u64) -> Duration {
    DRAIN_DEADLINE + DEADLINE_PER_1000 * u32::try_from(requests / 1000).unwrap_or(u32::MAX)
}
