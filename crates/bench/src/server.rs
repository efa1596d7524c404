//! Starts and stops the servers under test.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agentcafe_load::connection::Connection;
use agentcafe_load::stats::Stopwatch;
use agentcafe_load::target::Target;
use anyhow::{Context, Result, bail};

use crate::measure::MeasuredServer;
use crate::process::Process;

/// Deadline for a server to become ready.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Deadline for a server to stop after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two checks of a server that starts or stops.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Characters of a failed server's log that an error shows.
const LOG_TAIL_CHARS: usize = 2000;

/// Settings that the server must not inherit from the user's shell.
const FOREIGN_SETTINGS: [&str; 6] = [
    "API_AUTH_TOKEN",
    "AGENTCAFE_RUNTIME_API_KEY",
    "API_DB_REQUIRED",
    "DATABASE_URL",
    "REDIS_URL",
    "API_MAX_CHAT_MESSAGE_CHARS",
];
/// Settings that switch off rate limits and moderation.
const UNLIMITED: [(&str, &str); 5] = [
    ("API_RATE_LIMIT_PER_MIN", "0"),
    ("MOD_WINDOW_MS", "0"),
    ("MOD_MIN_ACTION_INTERVAL_MS", "0"),
    ("MOD_MAX_ACTIONS_PER_WINDOW", "0"),
    ("MOD_MAX_REPEATED_TEXT_PER_WINDOW", "0"),
];

/// A child process that serves HTTP on 127.0.0.1. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    /// From just before its start until `GET /readyz` succeeded.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts agentcafe on the store in `data_dir` (created if missing) and waits until it is ready.
    /// Its output goes to `<data_dir>.log`.
    pub(crate) async fn start(binary: &Path, data_dir: &Path) -> Result<Self> {
        Self::start_with(binary, data_dir, &[]).await
    }

    /// As [`Self::start`], with additional settings.
    pub(crate) async fn start_with(
        binary: &Path,
        data_dir: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let port = free_port()?;
        let mut command = Command::new(binary);
        FOREIGN_SETTINGS.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("API_HOST", "127.0.0.1").env("API_PORT", port.to_string());
        command.env("AGENTCAFE_DATA_DIR", data_dir).envs(UNLIMITED).envs(settings.iter().copied());
        Self::launch(command, port, data_dir.with_extension("log")).await
    }

    /// Starts the bare HTTP server of this binary.
    pub(crate) async fn start_bare(dir: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare-http", "--port", &port.to_string()]);
        Self::launch(command, port, dir.join("bare.log")).await
    }

    async fn launch(mut command: Command, port: u16, log: PathBuf) -> Result<Self> {
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let stopwatch = Stopwatch::start();
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { child, address, log, ready_after: Duration::ZERO };
        while !is_ready(address).await {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended while starting, with {status}:\n{}", server.log_tail());
            }
            if stopwatch.elapsed() > START_DEADLINE {
                bail!("the server is not ready after {START_DEADLINE:?}:\n{}", server.log_tail());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        server.ready_after = stopwatch.elapsed();
        Ok(server)
    }

    /// The address and process to measure.
    pub(crate) fn measured(&self) -> MeasuredServer {
        MeasuredServer { address: self.address, process: Process::with_id(self.child.id()), database: None }
    }

    /// Stops it with SIGTERM and waits for its end; a server that has to be killed is an error.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended by itself, with {status}:\n{}", self.log_tail());
        }
        self.measured().process.terminate()?;
        let stopwatch = Stopwatch::start();
        while self.child.try_wait()?.is_none() {
            if stopwatch.elapsed() > STOP_DEADLINE {
                bail!("the server had to be killed {STOP_DEADLINE:?} after SIGTERM:\n{}", self.log_tail());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL_CHARS)..];
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // This fails only if the process has already ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether `GET /readyz` is answered with 200.
async fn is_ready(address: SocketAddr) -> bool {
    let target = Target::from(address);
    let Ok(mut connection) = Connection::open(&target).await else {
        return false;
    };
    let response = connection.exchange(&target.get("/readyz")).await;
    response.is_ok_and(|response| response.status == 200)
}
