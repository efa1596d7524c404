//! PostgreSQL servers for tests, with a fresh database for each caller.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::fake_clock::{self, FakeClock};
use crate::supervisor::{Supervisor, steady_port};

/// Where Debian installs the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Runs the server as another user if the test is run by root, which PostgreSQL does not accept.
const AS_SERVER_USER: [&str; 4] = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
const SCRIPT: &str = r#"
END=-QUIT
# Makes a certificate authority that nobody trusts, and its certificate for this server, for the name localhost only.
certify() {
    cd "$DATA" || return
    printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign' >ca.ext
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE' >server.ext
    for name in ca server; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr || return
    done
    openssl x509 -req -in ca.csr -signkey ca.key -days 2 -extfile ca.ext -out ca.crt || return
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
        -out server.crt
}
prepare() {
    "$BIN/initdb" -D "$DATA" -U postgres -A trust -E UTF8 --locale=C -N || return
    [ -z "$TLS" ] || certify
}
launch() {
    # Not before: libfaketime shares memory between processes of one user.
    [ -z "$CLOCK" ] || export LD_PRELOAD="$CLOCK"
    exec "$BIN/postgres" -D "$DATA" -k "$DATA" -p "$PORT" -c listen_addresses=127.0.0.1 -c max_connections=300 \
        -c fsync="$FSYNC" -c full_page_writes="$FSYNC" -c shared_preload_libraries= $TLS
}
is_ready() { "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT"; }
"#;

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As with `pg_ctl stop -m fast`: sessions are ended, everything is written.
    Fast,
    /// As with `pg_ctl stop -m immediate`: without a checkpoint.
    Immediate,
    /// All its processes are killed.
    Kill,
}

/// A running PostgreSQL server.
pub struct Postgres {
    port: u16,
    data: PathBuf,
    created: AtomicU32,
    databases: Mutex<HashMap<PathBuf, String>>,
    server: Supervisor,
}

static SHARED: OnceLock<Postgres> = OnceLock::new();

/// Where a server that does not sync keeps its data if there is room, because tests create many databases.
const MEMORY: &str = "/dev/shm";
/// The room that it needs, in bytes.
const ENOUGH_MEMORY: u64 = 4 << 30;

fn data_root(syncs: bool) -> &'static str {
    let has_room = |free: rustix::fs::StatVfs| free.f_bavail * free.f_frsize >= ENOUGH_MEMORY;
    if !syncs && rustix::fs::statvfs(MEMORY).is_ok_and(has_room) { MEMORY } else { "/tmp" }
}

/// The programs of the newest installed version.
fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir(PROGRAMS)
        .unwrap_or_else(|error| {
            panic!("PostgreSQL is not installed ({PROGRAMS}: {error}); ./test.sh installs it")
        })
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|programs| programs.join("postgres").exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL's server is not installed; ./test.sh installs it")
}

impl Postgres {
    /// The server that all tests of this process share. It does not sync.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(false))
    }

    /// Starts a server that runs until this is dropped.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start(syncs: bool) -> Self {
        Self::run(syncs, "", None)
    }

    /// Starts a server with TLS and a certificate for the name `localhost` that is signed by the authority in
    /// [`Postgres::authority`].
    ///
    /// # Panics
    /// As [`Postgres::start`]; and if there is no `openssl`.
    #[must_use]
    pub fn start_with_tls() -> Self {
        Self::run(false, "-c ssl=on -c ssl_cert_file=server.crt -c ssl_key_file=server.key", None)
    }

    /// Starts a server with this wall clock.
    ///
    /// # Panics
    /// As [`Postgres::start`]; and if there is no libfaketime.
    #[must_use]
    pub fn start_with_clock(clock: &FakeClock) -> Self {
        Self::run(false, "", Some(clock))
    }

    fn run(syncs: bool, tls: &str, clock: Option<&FakeClock>) -> Self {
        let port = steady_port();
        let data = format!("{}/agentcafe-postgres-{}-{port}", data_root(syncs), std::process::id());
        let data = PathBuf::from(data);
        let bin = programs();
        let bin = bin.to_str().expect("a path in UTF-8");
        let mut environment = vec![("BIN", bin), ("TLS", tls), ("FSYNC", if syncs { "on" } else { "off" })];
        let clock = clock.map(|clock| (fake_clock::library().display().to_string(), clock.environment()));
        if let Some((library, variables)) = &clock {
            environment.push(("CLOCK", library));
            environment.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let is_root = rustix::process::geteuid().is_root();
        let prefix: &[&str] = if is_root { &AS_SERVER_USER } else { &[] };
        let server = Supervisor::start(prefix, SCRIPT, &data, port, &environment);
        Self { port, data, created: AtomicU32::new(0), databases: Mutex::default(), server }
    }

    /// A client program of PostgreSQL for this server.
    fn program(&self, name: &str) -> Command {
        let mut program = Command::new(programs().join(name));
        program.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"]);
        program
    }

    /// The id of the server's main process, the parent of all others.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let file = self.data.join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.lines().next().and_then(|line| line.parse().ok()).expect("its first line is the id")
    }

    /// Stops the server. When this returns, it is gone.
    pub fn end(&self, how: End) {
        self.server.order(match how {
            End::Fast => "-INT",
            End::Immediate => "-QUIT",
            End::Kill => "-KILL",
        });
    }

    /// Starts it again on the same data. When this returns, it accepts connections.
    pub fn begin(&self) {
        self.server.order("start");
    }

    /// Suspends all its processes. Connections stay open, but nothing answers.
    pub fn freeze(&self) {
        self.server.order("freeze");
    }

    /// Resumes them.
    pub fn thaw(&self) {
        self.server.order("thaw");
    }

    /// The certificate of the authority that signed the certificate of a server with TLS.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.data.join("ca.crt")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of a database of this server.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}?sslmode=disable", self.address())
    }

    /// The URL of the database that belongs to a data directory; it is created if it is missing.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn database_for(&self, directory: &Path) -> String {
        let mut databases = self.databases.lock().expect("nobody panics while holding it");
        databases.entry(directory.to_owned()).or_insert_with(|| self.database()).clone()
    }

    /// Drops the database that belongs to a data directory, if there is one.
    pub(crate) fn forget(directory: &Path) {
        let Some(shared) = SHARED.get() else { return };
        let known = shared.databases.lock().ok().and_then(|mut databases| databases.remove(directory));
        if let Some(name) = known.as_ref().and_then(|url| url.split(['/', '?']).nth(3)) {
            // If this fails, the database is removed with the server.
            let _ = shared.program("dropdb").args(["--force", name]).output();
        }
    }

    /// Creates an empty database, and returns its URL.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("cafe_{}", self.created.fetch_add(1, Ordering::Relaxed));
        let created = self.program("createdb").arg(&name).output().expect("createdb can be started");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        self.url(&name)
    }

    /// The rows that a statement returns, one per line, with `|` between the columns.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn query(url: &str, sql: &str) -> String {
        let mut psql = Command::new(programs().join("psql"));
        let output =
            psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]).output();
        let output = output.expect("psql can be started");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the database is in UTF-8")
    }
}
