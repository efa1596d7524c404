//! Starts the real binary on a free port and with a directory of its own, and stops or kills it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::client::Client;
use crate::postgres::Postgres;
use crate::redis::Redis;

/// How long a server may take until it is ready.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// The pause between two checks of a process.
const CHECK_INTERVAL: Duration = Duration::from_millis(2);
/// The text in the log before the address.
const LISTENING: &str = "listening on http://";
/// The environment variables that servers inherit from the tests.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"];
/// What servers are started with unless a test sets it: a free port, no limits, and presences that do not expire, which they would
/// in a test that takes a minute on a busy machine.
const DEFAULTS: [(&str, &str); 8] = [
    ("API_HOST", "127.0.0.1"),
    ("API_PORT", "0"),
    ("NO_COLOR", "1"),
    ("API_RATE_LIMIT_PER_MIN", "0"),
    ("MOD_MIN_ACTION_INTERVAL_MS", "0"),
    ("MOD_MAX_ACTIONS_PER_WINDOW", "0"),
    ("MOD_MAX_REPEATED_TEXT_PER_WINDOW", "0"),
    ("PRESENCE_SWEEP_MS", "600000"),
];

/// How to start a server. Clones share the data directory.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    subcommand: Option<&'static str>,
    options: &'static [&'static str],
    directory: Arc<DataDirectory>,
    environment: BTreeMap<String, String>,
    is_on_postgres: bool,
    nodes: usize,
}

/// A data directory. If it is temporary, it is removed with the database that belongs to it.
#[derive(Debug)]
struct DataDirectory {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.temporary.is_some() {
            Postgres::forget(&self.path);
        }
    }
}

/// Selects the database of servers: `postgres`, or else the embedded one.
const STORE_VARIABLE: &str = "AGENTCAFE_TEST_STORE";

/// The database of servers in this run: `postgres` or `sqlite`, as health documents name it.
#[must_use]
pub fn store_under_test() -> &'static str {
    if std::env::var(STORE_VARIABLE).is_ok_and(|store| store == "postgres") { "postgres" } else { "sqlite" }
}

/// The number of nodes of a server on PostgreSQL; they share their limits through Redis.
const NODES_VARIABLE: &str = "AGENTCAFE_TEST_NODES";

fn nodes_under_test() -> usize {
    std::env::var(NODES_VARIABLE).map_or(1, |nodes| nodes.parse().expect(NODES_VARIABLE))
}

impl Launch {
    /// Starts `binary` (`env!("CARGO_BIN_EXE_agentcafe")`) on a free port of 127.0.0.1, with a temporary directory, without limits,
    /// without expiry of presences, and with nothing else in its environment.
    ///
    /// # Panics
    /// If no temporary directory can be made.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let temporary = tempfile::Builder::new().prefix("agentcafe-test-").tempdir();
        let temporary = temporary.expect("a temporary directory");
        let path = temporary.path().to_owned();
        let inherited =
            INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let defaults = DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            binary: binary.into(),
            subcommand: None,
            options: &[],
            directory: Arc::new(DataDirectory { path, temporary: Some(temporary) }),
            environment: inherited.chain(defaults).collect(),
            is_on_postgres: store_under_test() == "postgres",
            nodes: if store_under_test() == "postgres" { nodes_under_test() } else { 1 },
        }
    }

    /// Starts another service than the API, as one node without a database. It must log where it listens, and answer
    /// `GET /readyz`.
    #[must_use]
    pub fn subcommand(self, subcommand: &'static str) -> Self {
        Self { subcommand: Some(subcommand), ..self.embedded() }
    }

    /// Starts the API with these options of `agentcafe serve`.
    #[must_use]
    pub fn options(mut self, options: &'static [&'static str]) -> Self {
        (self.subcommand, self.options) = (Some("serve"), options);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Removes an environment variable, so that the server's default applies.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Uses this directory, which is not removed.
    #[must_use]
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Arc::new(DataDirectory { path: directory.into(), temporary: None });
        self
    }

    /// Uses a PostgreSQL database that belongs to the data directory, whatever the database of this run, and this number of
    /// nodes, which clients use in turn.
    #[must_use]
    pub fn on_postgres(mut self, nodes: usize) -> Self {
        (self.is_on_postgres, self.nodes) = (true, nodes);
        self
    }

    /// Uses the embedded database in the data directory, whatever the database of this run.
    #[must_use]
    pub fn embedded(mut self) -> Self {
        (self.is_on_postgres, self.nodes) = (false, 1);
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready; the message shows its log.
    pub async fn start(self) -> Server {
        self.try_start().await.unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// Starts it and waits until it is ready: `GET /readyz` is answered with 200.
    ///
    /// # Errors
    /// When it ends before that, or is not ready within 60 s.
    ///
    /// # Panics
    /// If the binary cannot be run at all.
    pub async fn try_start(self) -> Result<Server, FailedStart> {
        self.begin(true).await
    }

    /// Starts it and waits until it listens, ready or not.
    ///
    /// # Panics
    /// If it does not listen; the message shows its log.
    pub async fn start_listening(self) -> Server {
        self.begin(false).await.unwrap_or_else(|failed| panic!("{failed}"))
    }

    async fn begin(mut self, wait_until_ready: bool) -> Result<Server, FailedStart> {
        if self.is_on_postgres {
            let url = Postgres::shared().database_for(&self.directory.path);
            self.environment.entry("DATABASE_URL".to_owned()).or_insert(url);
        }
        let shares_redis = self.nodes > 1 && !self.environment.contains_key("REDIS_URL");
        if shares_redis {
            // Their limits apply to all of them together.
            let prefix = self.directory.path.display().to_string();
            self = self.env("REDIS_URL", Redis::shared().url()).env("INBOX_REDIS_PREFIX", prefix);
        }
        // Two nodes cannot share a given port.
        let has_free_port = self.environment.get("API_PORT").is_some_and(|port| port == "0");
        let nodes = if has_free_port { self.nodes } else { 1 };
        let spawned: Vec<_> = (0..nodes).map(|_| Process::spawn(&self)).collect();
        let mut nodes = Vec::new();
        for mut process in spawned {
            // Strangers are not told whether there is Redis.
            let token = self.environment.get("API_AUTH_TOKEN").map(String::as_str);
            let ready = process.address(wait_until_ready, shares_redis, token);
            let address = match tokio::time::timeout(START_DEADLINE, ready).await {
                Ok(Some(address)) => address,
                Ok(None) => {
                    return Err(FailedStart { status: Some(process.wait().await), log: process.log() });
                }
                Err(_) => return Err(FailedStart { status: None, log: process.log() }),
            };
            nodes.push(Node { process, address });
        }
        Ok(Server { launch: self, nodes })
    }
}

/// A server that did not become ready.
#[derive(Debug)]
pub struct FailedStart {
    /// Its exit status; none if it had to be killed.
    pub status: Option<ExitStatus>,
    /// Its output on stderr.
    pub log: String,
}

impl fmt::Display for FailedStart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the server is not ready, its exit status: {:?}, its log:\n{}", self.status, self.log)
    }
}

/// A server, of one node unless it was launched with more. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    nodes: Vec<Node>,
    /// Declared after the nodes, so that they end before their data is removed.
    launch: Launch,
}

#[derive(Debug)]
struct Node {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Where its first node listens. Another port after [`Server::restart`], unless the launch sets `API_PORT`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.nodes[0].address
    }

    /// `http://` and the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A client with connections of its own, whose requests go to the nodes in turn.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::of_nodes(self.nodes.iter().map(|node| node.address))
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.launch.directory.path
    }

    /// The process id of its first node.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.nodes[0].process.child.id()
    }

    /// The output of its nodes on stderr so far, one after the other; complete once it was stopped or killed.
    #[must_use]
    pub fn log(&self) -> String {
        self.nodes.iter().map(|node| node.process.log()).collect()
    }

    /// The resident memory of its first node, in KiB.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        kib.unwrap_or_else(|| panic!("no VmRSS in {path}"))
    }

    /// Sends SIGTERM without waiting for the end.
    ///
    /// # Panics
    /// If a process is gone.
    pub fn terminate(&self) {
        for node in &self.nodes {
            kill_process(Pid::from_child(&node.process.child), Signal::TERM).expect("the server runs");
        }
    }

    /// Stops it (SIGTERM) and returns its exit status.
    ///
    /// # Panics
    /// If it does not stop within 30 s.
    pub async fn stop(&mut self) -> ExitStatus {
        if self.nodes.iter_mut().all(|node| node.process.try_wait().is_none()) {
            self.terminate();
        }
        self.wait().await
    }

    /// Waits until it has ended by itself or by [`Server::terminate`], and returns its exit status: of several nodes, that of one
    /// that failed.
    ///
    /// # Panics
    /// If it does not end within 30 s.
    pub async fn wait(&mut self) -> ExitStatus {
        let ending = async {
            let mut statuses = Vec::new();
            for node in &mut self.nodes {
                statuses.push(node.process.wait().await);
            }
            let failed = statuses.iter().find(|status| !status.success());
            *failed.unwrap_or(&statuses[0])
        };
        let ended = tokio::time::timeout(STOP_DEADLINE, ending).await;
        ended.unwrap_or_else(|_| panic!("still running after {STOP_DEADLINE:?}, its log:\n{}", self.log()))
    }

    /// Kills it (SIGKILL); when this returns it is gone.
    pub fn kill(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.process.kill());
    }

    /// Starts it again with the same settings and data; kills it first if it still runs. Existing clients keep the old address.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn restart(&mut self) {
        self.kill();
        *self = self.launch.clone().start().await;
    }
}

#[derive(Debug)]
struct Process {
    child: Child,
    log: watch::Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    fn spawn(launch: &Launch) -> Self {
        let mut command = Command::new(&launch.binary);
        command.args(launch.subcommand).args(launch.options);
        command.env_clear().envs(&launch.environment).env("AGENTCAFE_DATA_DIR", &launch.directory.path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run {:?}: {error}", launch.binary));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, log) = watch::channel(String::new());
        let reader = std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                sender.send_modify(|log| {
                    log.push_str(&String::from_utf8_lossy(&line));
                    log.push('\n');
                });
            }
        });
        Self { child, log, reader: Some(reader) }
    }

    fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Its address once it listens, or, with `wait_until_ready`, once it is ready; none if it ended. A node that shares limits must
    /// also be connected to Redis, because until then it applies its own.
    async fn address(
        &mut self,
        wait_until_ready: bool,
        shares_redis: bool,
        token: Option<&str>,
    ) -> Option<SocketAddr> {
        let address = {
            let log = self.log.wait_for(|log| address_in(log).is_some()).await.ok()?;
            address_in(&log)?
        };
        if !wait_until_ready {
            return Some(address);
        }
        let client = Client::new(address);
        let client =
            token.into_iter().fold(client, |client, token| client.with_header("x-api-key", token.trim()));
        loop {
            let get = |path| client.request(reqwest::Method::GET, path).try_send();
            let is_ready = get("/readyz").await.is_ok_and(|ready| ready.status == 200);
            let is_connected =
                async || get("/healthz").await.is_ok_and(|health| health.json["redis"]["connected"] != false);
            if is_ready && (!shares_redis || is_connected().await) {
                return Some(address);
            }
            if self.try_wait().is_some() {
                return None;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    async fn wait(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.try_wait() {
                self.finish_log();
                return status;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    fn kill(&mut self) {
        if self.try_wait().is_none() {
            // This fails only if the process has just ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.finish_log();
    }

    fn finish_log(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of a log does not panic");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address that the server logged.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(LISTENING)?;
    let (line, _) = rest.split_once('\n')?;
    line.split([' ', '"']).next()?.parse().ok()
}
