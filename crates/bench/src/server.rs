//! Starts and stops the servers under test.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use agentcafe_load::stats::Stopwatch;
use agentcafe_testkit::Launch;
use anyhow::{Result, anyhow, ensure};
use rustix::process::Signal;

use crate::measure::MeasuredServer;
use crate::process::Process;

/// A child process that serves HTTP on 127.0.0.1. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    process: agentcafe_testkit::Server,
    /// From just before its start until `GET /readyz` succeeded.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts agentcafe on the store in `data_dir` (created if missing) and waits until it is ready.
    pub(crate) async fn start(binary: &Path, data_dir: &Path) -> Result<Self> {
        Self::launch(Launch::new(binary).data_dir(data_dir)).await
    }

    /// Starts the bare HTTP server of this binary.
    pub(crate) async fn start_bare() -> Result<Self> {
        Self::launch(Launch::new(std::env::current_exe()?).subcommand("bare-http")).await
    }

    /// Starts a server without rate limits and moderation. It inherits no settings from the user's shell.
    pub(crate) async fn launch(launch: Launch) -> Result<Self> {
        let launch = launch.env("MOD_WINDOW_MS", 0).without("PRESENCE_SWEEP_MS");
        let stopwatch = Stopwatch::start();
        let process = launch.try_start().await.map_err(|failed| anyhow!("{failed}"))?;
        Ok(Self { process, ready_after: stopwatch.elapsed() })
    }

    /// The address and process to measure.
    pub(crate) fn measured(&self) -> MeasuredServer {
        let process = Process::with_id(self.process.pid());
        MeasuredServer { address: self.process.address(), process, database: None }
    }

    /// Its resident memory, in mebibytes.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.process.rss_kib() as f64 / 1024.0
    }

    /// Stops it with SIGTERM and waits for its end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let status = self.process.stop().await;
        let has_ended_well = status.success() || status.signal() == Some(Signal::TERM.as_raw());
        ensure!(has_ended_well, "the server ended with {status}:\n{}", self.process.log());
        Ok(())
    }
}
