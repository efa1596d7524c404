//! Redis servers of their own for tests: each on a free port and in a directory of its own, to be stopped, killed, frozen
//! and wiped as the test likes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::port::steady_port;

/// How long a server may take to answer a test.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// Starts the server, and ends it when its input ends: however the test process ends, the server goes with it.
const KEEPER: &str = r#"
redis-server --bind 127.0.0.1 --port "$PORT" --dir "$DATA" --save '' --appendonly "$KEEPS" --appendfsync always \
    --daemonize no >>"$DATA/log" 2>&1 &
server=$!
until redis-cli -h 127.0.0.1 -p "$PORT" ping 2>/dev/null | grep -q PONG; do
    kill -0 $server 2>/dev/null || { echo "failed: $(tail -5 "$DATA/log" | tr '\n' ' ')"; exit 1; }
    sleep 0.02
done
echo "ready $server"
read -r word
kill -KILL $server 2>/dev/null
wait
[ "$word" = keep ] || rm -rf "$DATA"
"#;

/// A Redis server. What it was told is on its disk before it answers, so that it is all there after a restart. Dropping
/// it ends it and removes its directory.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    data: TempDir,
    /// Whether what it was told is on its disk before it answers.
    keeps: bool,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    keeper: Child,
    server: Pid,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Panics
    /// If Redis is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::started(true)
    }

    /// The server that all tests of this process share which do not care for it. It keeps nothing on disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| Self::started(false))
    }

    fn started(keeps: bool) -> Self {
        let port = steady_port();
        let data = tempfile::Builder::new().prefix("agentcafe-redis-").tempdir();
        let mut redis = Self { port, data: data.expect("a temporary directory"), keeps, running: None };
        redis.restart();
        redis
    }

    /// Its URL, the same after each restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills it (SIGKILL); when this returns it is gone.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Starts it again with what it had; kills it first if it still runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .env("PORT", self.port.to_string())
            .env("DATA", self.data.path())
            .env("KEEPS", if self.keeps { "yes" } else { "no" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let mut said = String::new();
        let output = keeper.stdout.as_mut().expect("its output is piped");
        BufReader::new(output).read_line(&mut said).expect("the keeper says something");
        let server = said.strip_prefix("ready ").and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
        let server = server.unwrap_or_else(|| panic!("Redis did not start (./test.sh installs it): {said}"));
        self.running = Some(Running { keeper, server });
    }

    /// Starts it again with nothing.
    ///
    /// # Panics
    /// If it does not start, or its files cannot be removed.
    pub fn wipe(&mut self) {
        self.kill();
        for entry in fs::read_dir(self.data.path()).expect("the directory is there").flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.expect("files of ours can be removed");
        }
        self.restart();
    }

    /// Keeps it from doing anything, with its connections open, as if the network were cut.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the server runs");
        kill_process(running.server, signal).expect("the server runs");
    }

    fn end(&mut self, signal: Signal) {
        let Some(Running { mut keeper, server }) = self.running.take() else { return };
        let _ = kill_process(server, signal);
        let mut input = keeper.stdin.take().expect("its input is piped");
        if signal == Signal::TERM {
            // The keeper would kill it.
            while kill_process(server, Signal::CONT).is_ok() && is_alive(server) {
                std::thread::yield_now();
            }
        }
        let _ = input.write_all(b"keep\n");
        drop(input);
        let _ = keeper.wait();
    }

    /// Sends a command and gives the answer: texts, numbers, lists, null.
    ///
    /// # Panics
    /// If there is no answer, or it is an error.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> Value {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the server can be reached");
        stream.set_read_timeout(Some(ANSWER_DEADLINE)).expect("a time limit can be set");
        let mut request = format!("*{}\r\n", command.len());
        for part in command {
            request.push_str(&format!("${}\r\n{part}\r\n", part.len()));
        }
        stream.write_all(request.as_bytes()).expect("the server listens");
        read(&mut BufReader::new(stream))
    }

    /// All that it holds: what kind each key is, what it contains, and whether it expires.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Value> {
        let keys = self.ask(&["KEYS", "*"]);
        let keys = keys.as_array().expect("a list of keys").iter().filter_map(Value::as_str);
        keys.filter_map(|key| Some((key.to_owned(), self.content(key)?))).collect()
    }

    /// None if it is gone again.
    fn content(&self, key: &str) -> Option<Value> {
        let kind = self.ask(&["TYPE", key]);
        let content = match kind.as_str().unwrap_or_default() {
            "string" => self.ask(&["GET", key]),
            "list" => self.ask(&["LRANGE", key, "0", "-1"]),
            "set" => {
                let mut members: Vec<Value> =
                    self.ask(&["SMEMBERS", key]).as_array().cloned().unwrap_or_default();
                members.sort_unstable_by_key(Value::to_string);
                members.into()
            }
            "stream" => self.ask(&["XRANGE", key, "-", "+"]),
            "hash" => {
                let flat = self.ask(&["HGETALL", key]);
                let pairs = flat.as_array().expect("fields and values").chunks(2);
                pairs
                    .map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone()))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            "none" => return None,
            other => panic!("{key} is a {other}"),
        };
        let expires = self.ask(&["TTL", key]) != -1;
        Some(serde_json::json!({ "type": kind, "content": content, "expires": expires }))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process is there and has not ended.
fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Reads an answer of the protocol's second version.
fn read(stream: &mut impl BufRead) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).expect("the server answers");
    let (kind, rest) = line.trim_end().split_at_checked(1).expect("an answer");
    let number = || rest.parse::<i64>().expect("a number");
    match kind {
        "+" => rest.into(),
        ":" => number().into(),
        "$" if number() < 0 => Value::Null,
        "$" => {
            let length = usize::try_from(number()).expect("a length");
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes).expect("the whole answer");
            String::from_utf8_lossy(&bytes[..length]).into()
        }
        "*" if number() < 0 => Value::Null,
        "*" => (0..number()).map(|_| read(stream)).collect(),
        _ => panic!("Redis refuses: {rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 4: the tests start private servers, and stop, kill and wipe them.
    #[test]
    fn a_server_keeps_what_it_was_told_until_it_is_wiped() {
        let mut redis = Redis::start();
        assert_eq!(redis.ask(&["SET", "a", "b c"]), "OK");
        assert_eq!(redis.ask(&["RPUSH", "l", "1", "2"]), 2);
        let before = redis.contents();
        assert_eq!(before["l"], serde_json::json!({"type": "list", "content": ["1", "2"], "expires": false}));
        redis.kill();
        redis.restart();
        assert_eq!(redis.contents(), before);
        redis.stop();
        redis.restart();
        assert_eq!(redis.contents(), before);
        redis.wipe();
        assert_eq!(redis.contents(), BTreeMap::new());
        assert_eq!(redis.ask(&["GET", "a"]), Value::Null);
    }
}
