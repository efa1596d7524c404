//! A PostgreSQL server of its own for a test process, with a fresh database for whoever asks.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::port::steady_port;

/// Where Debian keeps the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Who runs the server if the test is run by root, whom PostgreSQL refuses.
const USER: &str = "postgres";
/// Starts the server, does with it what it is told, and ends it when its input ends: however the test process ends, the
/// server goes with it.
const KEEPER: &str = r#"
children() { cat "/proc/$server/task/$server/children"; }
begin() {
    "$BIN/postgres" -D "$DATA" -k "$DATA" -p "$PORT" -c listen_addresses=127.0.0.1 -c max_connections=300 \
        -c fsync="$FSYNC" -c full_page_writes="$FSYNC" -c shared_preload_libraries= $TLS >>"$DATA.log" 2>&1 &
    server=$!
    until "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT"; do
        kill -0 $server 2>/dev/null || { cat "$DATA.log"; exit 1; }
        sleep 0.05
    done
}
# An authority that nobody knows, and a certificate of it for this server, by the name of localhost alone.
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
finish() { kill "$1" $server; wait $server; }
"$BIN/initdb" -D "$DATA" -U postgres -A trust -E UTF8 --locale=C -N >"$DATA.log" 2>&1 || { cat "$DATA.log"; exit 1; }
[ -z "$TLS" ] || certify >>"$DATA.log" 2>&1 || { cat "$DATA.log"; exit 1; }
begin
echo ready
while read -r order; do
    case $order in
        begin) begin ;;
        fast) finish -INT ;;
        immediate) finish -QUIT ;;
        kill)
            all=$(children)
            finish -KILL
            kill -KILL $all
            for one in $all; do while [ -e "/proc/$one" ]; do sleep 0.01; done; done ;;
        freeze) kill -STOP $server; kill -STOP $(children) ;;
        thaw) kill -CONT $(children); kill -CONT $server ;;
    esac
    echo ready
done
kill -CONT $(children) $server 2>/dev/null
finish -QUIT
rm -rf "$DATA" "$DATA.log"
"#;

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As `pg_ctl stop -m fast` does it: sessions are ended, all is written.
    Fast,
    /// As `pg_ctl stop -m immediate` does it: everybody drops everything.
    Immediate,
    /// All its processes are killed.
    Kill,
}

/// A running PostgreSQL server.
pub struct Postgres {
    port: u16,
    data: PathBuf,
    made: AtomicU32,
    databases: Mutex<HashMap<PathBuf, String>>,
    keeper: Mutex<Child>,
}

static SHARED: OnceLock<Postgres> = OnceLock::new();

/// Where a server that does not sync keeps its data if there is room: many small databases come and go.
const MEMORY: &str = "/dev/shm";
/// How much room that is, in bytes.
const ENOUGH_MEMORY: u64 = 4 << 30;

fn place_of_data(syncs: bool) -> &'static str {
    let has_room = |free: rustix::fs::StatVfs| free.f_bavail * free.f_frsize >= ENOUGH_MEMORY;
    if !syncs && rustix::fs::statvfs(MEMORY).is_ok_and(has_room) { MEMORY } else { "/tmp" }
}

/// The newest installed version's programs.
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
    /// The server that all tests of this process share. It does not sync: none of them cuts its power.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(false))
    }

    /// Starts a server that lives as long as this does.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start(syncs: bool) -> Self {
        Self::run(syncs, "")
    }

    /// Starts a server that speaks TLS, with a certificate for the name `localhost`, by the authority in
    /// [`Postgres::authority`].
    ///
    /// # Panics
    /// As [`Postgres::start`]; and if there is no `openssl`.
    #[must_use]
    pub fn start_with_tls() -> Self {
        Self::run(false, "-c ssl=on -c ssl_cert_file=server.crt -c ssl_key_file=server.key")
    }

    fn run(syncs: bool, tls: &str) -> Self {
        let port = steady_port();
        let data = PathBuf::from(format!(
            "{}/agentcafe-postgres-{}-{port}",
            place_of_data(syncs),
            std::process::id()
        ));
        let mut command = as_server_user();
        command
            .args(["sh", "-c", KEEPER])
            .env("BIN", programs())
            .env("DATA", &data)
            .env("PORT", port.to_string())
            .env("TLS", tls)
            .env("FSYNC", if syncs { "on" } else { "off" })
            .current_dir("/tmp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut keeper = command.spawn().expect("a shell can be started");
        ready(&mut keeper);
        Self { port, data, made: AtomicU32::new(0), databases: Mutex::default(), keeper: Mutex::new(keeper) }
    }

    /// One of PostgreSQL's programs, which speaks to this server.
    fn program(&self, name: &str) -> Command {
        let mut program = Command::new(programs().join(name));
        program.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"]);
        program
    }

    fn tell(&self, order: &str) {
        let mut keeper = self.keeper.lock().expect("nobody panics while holding it");
        let input = keeper.stdin.as_mut().expect("its input is piped");
        writeln!(input, "{order}").expect("the keeper lives as long as this");
        ready(&mut keeper);
    }

    /// The id of the server's first process, whose children all others are.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let file = self.data.join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.lines().next().and_then(|line| line.parse().ok()).expect("its first line is the id")
    }

    /// Ends the server. When this returns, it is gone.
    pub fn end(&self, how: End) {
        self.tell(match how {
            End::Fast => "fast",
            End::Immediate => "immediate",
            End::Kill => "kill",
        });
    }

    /// Starts it again on the same data. When this returns, it accepts connections.
    pub fn begin(&self) {
        self.tell("begin");
    }

    /// Stops all its processes where they are: connections stay, and nobody answers.
    pub fn freeze(&self) {
        self.tell("freeze");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.tell("thaw");
    }

    /// The certificate of the authority that vouches for a server with TLS.
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

    /// The URL of the database that stands for a data directory; made if it is missing.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn database_for(&self, directory: &Path) -> String {
        let mut databases = self.databases.lock().expect("nobody panics while holding it");
        databases.entry(directory.to_owned()).or_insert_with(|| self.database()).clone()
    }

    /// Drops the database that stands for a data directory, if there is one.
    pub(crate) fn forget(directory: &Path) {
        let Some(shared) = SHARED.get() else { return };
        let known = shared.databases.lock().ok().and_then(|mut databases| databases.remove(directory));
        if let Some(name) = known.as_ref().and_then(|url| url.split(['/', '?']).nth(3)) {
            // What is left behind goes with the server.
            let _ = shared.program("dropdb").args(["--force", name]).output();
        }
    }

    /// Makes an empty database, and answers its URL.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("cafe_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = self.program("createdb").arg(&name).output().expect("createdb can be started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.url(&name)
    }

    /// What a statement answers, a line for each row, with `|` between the columns.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn query(url: &str, sql: &str) -> String {
        let mut psql = Command::new(programs().join("psql"));
        let asked =
            psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]).output();
        let asked = asked.expect("psql can be started");
        assert!(asked.status.success(), "{sql}: {}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).expect("the database is in UTF-8")
    }
}

/// Waits until the keeper says that what it was told is done.
fn ready(keeper: &mut Child) {
    let mut said = [0; 6];
    let output = keeper.stdout.as_mut().expect("its output is piped");
    let heard = output.read_exact(&mut said);
    assert!(heard.is_ok() && &said == b"ready\n", "PostgreSQL did not start: {}", {
        let mut rest = String::from_utf8_lossy(&said).into_owned();
        let _ = output.read_to_string(&mut rest);
        rest
    });
}

/// A command that runs as a user whom PostgreSQL accepts.
fn as_server_user() -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = Command::new("env");
    if is_root {
        command = Command::new("setpriv");
        command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
    }
    command
}
