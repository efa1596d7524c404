//! The command line, and the settings that scenarios take from it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tempfile::TempDir;

/// Measures a release build of agentcafe on this machine, next to bare baselines.
///
/// Prints a table to stdout and writes a JSON report. A missed goal does not fail the run; the exit
/// code is 1 only if the measurement itself failed.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// The server to measure [default: `agentcafe` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,

    /// The file to write the JSON report to
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    pub(crate) json: PathBuf,

    /// The directory for temporary stores: its disk is part of what is measured
    #[arg(long, value_name = "DIR", default_value = "target")]
    pub(crate) work_dir: PathBuf,

    /// Run only these scenarios
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<Scenario>,

    /// Measure for a shorter time and on smaller logs
    #[arg(long)]
    pub(crate) quick: bool,

    /// Threads of the load generator
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) workers: u8,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// Other programs in this binary, which a run starts as child processes.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The bare HTTP server that says are compared with.
    #[command(hide = true)]
    BareHttp,
}

/// The scenarios, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A bare HTTP handler, bare SQLite, bare fdatasync
    Baseline,
    /// Says on 64 connections
    Says,
    /// Says on 256 connections
    Says256,
    /// One room's events to 1,000 subscribers
    Fanout,
    /// Pages of the log
    Events,
    /// The cost of a say on a short and on a long log; opening the long one
    Growth,
    /// Many events to 20 webhooks
    Webhooks,
    /// Says on 64 connections, stored in PostgreSQL on the same machine
    Postgres,
}

/// Durations and sizes of the measurements.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct BenchSettings {
    /// Load before the measurement, in seconds.
    pub(crate) warm_up_seconds: u64,
    /// Length of a timed measurement, in seconds.
    pub(crate) measured_seconds: u64,
    /// Length of the log from which `events` reads pages.
    pub(crate) paged_log_events: u64,
    /// Length of the short log of `growth`.
    pub(crate) short_log_events: u64,
    /// Length of the long log of `growth`.
    pub(crate) long_log_events: u64,
    /// Says per measurement of `growth`.
    pub(crate) growth_says: u64,
    /// Measurements of `growth` on each log; an odd number, for the median.
    pub(crate) growth_rounds: usize,
    /// Events of `webhooks`.
    pub(crate) webhook_events: u64,
}

impl BenchSettings {
    /// The full settings, or the quick ones.
    pub(crate) fn new(quick: bool) -> Self {
        let full = Self {
            warm_up_seconds: 2,
            measured_seconds: 10,
            paged_log_events: 200_000,
            short_log_events: 1_000,
            long_log_events: 1_000_000,
            growth_says: 20_000,
            growth_rounds: 3,
            webhook_events: 10_000,
        };
        let short = Self {
            warm_up_seconds: 1,
            measured_seconds: 3,
            paged_log_events: 20_000,
            long_log_events: 100_000,
            growth_says: 10_000,
            webhook_events: 2_000,
            ..full
        };
        if quick { short } else { full }
    }

    /// Load before the measurement.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up_seconds)
    }

    /// Length of a timed measurement.
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs(self.measured_seconds)
    }
}

/// The part of the command line that scenarios use, validated.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The server's binary.
    pub(crate) server_binary: PathBuf,
    /// Durations and sizes.
    pub(crate) settings: BenchSettings,
    work_dir: PathBuf,
}

impl Setup {
    /// Finds the server and creates the work directory.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let server_binary = match &arguments.server {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("agentcafe"),
        };
        ensure!(
            server_binary.is_file(),
            "no server at {}: build it with `cargo build --release`, or name it with --server",
            server_binary.display()
        );
        std::fs::create_dir_all(&arguments.work_dir)
            .with_context(|| format!("cannot create {}", arguments.work_dir.display()))?;
        Ok(Self {
            server_binary: server_binary.canonicalize()?,
            settings: BenchSettings::new(arguments.quick),
            work_dir: arguments.work_dir.canonicalize()?,
        })
    }

    /// A new directory that is removed when dropped.
    pub(crate) fn temporary_dir(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(&self.work_dir)?)
    }
}
