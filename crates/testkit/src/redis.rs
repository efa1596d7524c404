//! Redis servers for tests: each on a free port and with a directory of its own; it can be stopped, killed, frozen and wiped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::supervisor::{Supervisor, steady_port};

/// How long a server may take to answer a test.
const TIMEOUT: Duration = Duration::from_secs(20);
const SCRIPT: &str = r#"
END=-KILL
prepare() { :; }
launch() {
    exec redis-server --bind 127.0.0.1 --port "$PORT" --dir "$DATA" --save '' --appendonly "$DURABLE" --appendfsync always \
        --daemonize no
}
is_ready() { redis-cli -h 127.0.0.1 -p "$PORT" ping | grep -q PONG; }
"#;

/// A Redis server. Dropping it ends it and removes its directory.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    server: Supervisor,
}

impl Redis {
    /// Starts a server whose writes are on disk before it answers, so that they survive a restart.
    ///
    /// # Panics
    /// If Redis is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::run("yes")
    }

    /// The server that tests of this process share unless they need their own. It keeps nothing on disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| Self::run("no"))
    }

    fn run(durable: &str) -> Self {
        let port = steady_port();
        let data = PathBuf::from(format!("/tmp/agentcafe-redis-{}-{port}", std::process::id()));
        Self { port, server: Supervisor::start(&[], SCRIPT, &data, port, &[("DURABLE", durable)]) }
    }

    /// Its URL, the same after each restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops it (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) {
        self.server.order("-TERM");
    }

    /// Kills it (SIGKILL); when this returns it is gone.
    pub fn kill(&mut self) {
        self.server.order("-KILL");
    }

    /// Starts it again with its data; kills it first if it still runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.server.order("start");
    }

    /// Starts it again without its data.
    ///
    /// # Panics
    /// If it does not start.
    pub fn wipe(&mut self) {
        self.kill();
        self.server.order("wipe");
        self.server.order("start");
    }

    /// Suspends it. Connections stay open, as if the network were cut.
    pub fn freeze(&self) {
        self.server.order("freeze");
    }

    /// Resumes it.
    pub fn thaw(&self) {
        self.server.order("thaw");
    }

    /// Sends a command and returns the answer: a text, a number, a list, or null.
    ///
    /// # Panics
    /// If there is no answer, or it is an error.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> Value {
        let client = redis::Client::open(self.url()).expect("the URL of a server");
        let mut connection = client.get_connection_with_timeout(TIMEOUT).expect("the server can be reached");
        connection.set_read_timeout(Some(TIMEOUT)).expect("a timeout can be set");
        let answer = redis::cmd(command[0]).arg(&command[1..]).query(&mut connection);
        value(answer.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Everything in it: the type of each key, its content, and whether it expires.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Value> {
        let keys = self.ask(&["KEYS", "*"]);
        let keys = keys.as_array().expect("a list of keys").iter().filter_map(Value::as_str);
        keys.filter_map(|key| Some((key.to_owned(), self.content(key)?))).collect()
    }

    /// None if the key has been deleted meanwhile.
    fn content(&self, key: &str) -> Option<Value> {
        let kind = self.ask(&["TYPE", key]);
        let list = |command: &[&str]| self.ask(command).as_array().cloned().unwrap_or_default();
        let content = match kind.as_str().unwrap_or_default() {
            "string" => self.ask(&["GET", key]),
            "list" => self.ask(&["LRANGE", key, "0", "-1"]),
            "set" => {
                let mut members = list(&["SMEMBERS", key]);
                members.sort_unstable_by_key(Value::to_string);
                members.into()
            }
            "stream" => self.ask(&["XRANGE", key, "-", "+"]),
            "hash" => {
                let flat = list(&["HGETALL", key]);
                let pairs = flat.chunks(2);
                pairs.map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone())).collect()
            }
            "none" => return None,
            other => panic!("{key} is a {other}"),
        };
        let expires = self.ask(&["TTL", key]) != -1;
        Some(json!({ "type": kind, "content": content, "expires": expires }))
    }
}

fn value(answer: redis::Value) -> Value {
    match answer {
        redis::Value::Nil => Value::Null,
        redis::Value::Int(number) => number.into(),
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into(),
        redis::Value::Array(values) => values.into_iter().map(value).collect(),
        redis::Value::SimpleString(text) => text.into(),
        redis::Value::Okay => "OK".into(),
        other => panic!("an answer of another protocol version: {other:?}"),
    }
}
