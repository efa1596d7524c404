//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

/// Measures a release build of agentcafe on this machine, beside bare baselines.
///
/// Prints a table to stdout and writes a JSON report. A missed target is a result; the exit code
/// tells only whether the measurement itself went wrong.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// The server to measure [default: `agentcafe` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,

    /// Where the JSON report goes
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    pub(crate) json: PathBuf,

    /// Where stores are made, and removed again: its disk is part of what is measured
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

/// What else this program can be: children of a run.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The bare server that says are compared with.
    #[command(hide = true)]
    BareHttp {
        /// Port on 127.0.0.1.
        #[arg(long)]
        port: u16,
    },
}

/// What can be measured, in the order in which it is.
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
    /// What a say costs on a short and on a long log; opening the long one
    Growth,
    /// Many events to 20 webhooks
    Webhooks,
    /// Says on 64 connections, kept in PostgreSQL on the same machine
    Postgres,
}

/// How long and how much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Settings {
    /// Load before the measurement, in seconds.
    pub(crate) warm_up_seconds: u64,
    /// Length of a timed measurement, in seconds.
    pub(crate) measured_seconds: u64,
    /// Length of the log that pages are read from.
    pub(crate) paged_log_events: u64,
    /// Length of the short log of `growth`.
    pub(crate) short_log_events: u64,
    /// Length of the long log of `growth`.
    pub(crate) long_log_events: u64,
    /// Says of one measurement of `growth`.
    pub(crate) growth_says: u64,
    /// Measurements of `growth` on either log.
    pub(crate) growth_rounds: usize,
    /// Events of `webhooks`.
    pub(crate) webhook_events: u64,
}

impl Settings {
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
