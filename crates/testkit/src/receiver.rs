//! A receiver of webhooks for tests: a real HTTP server that answers as it is told, and keeps what it was sent.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::wait::eventually;

/// How long is waited for deliveries.
const DEADLINE: Duration = Duration::from_secs(180);

/// How a request is answered.
#[derive(Clone, Debug)]
pub struct Reaction {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Option<Duration>,
    held: Option<Arc<Notify>>,
    hangs: bool,
}

impl Reaction {
    /// At once, with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), delay: None, held: None, hangs: false }
    }

    /// At once, with this status and this body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::status(status) }
    }

    /// Never.
    #[must_use]
    pub fn hang() -> Self {
        Self { hangs: true, ..Self::status(200) }
    }

    /// The same, with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, when it is let go.
    #[must_use]
    pub fn held(self, let_go: &Arc<Notify>) -> Self {
        Self { held: Some(Arc::clone(let_go)), ..self }
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path.
    pub path: String,
    /// Its headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// When it had come.
    pub at: Instant,
}

impl Received {
    /// A header's value; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The event in the body; null if there is none.
    #[must_use]
    pub fn event(&self) -> Value {
        serde_json::from_slice::<Value>(&self.body).map_or(Value::Null, |body| body["event"].clone())
    }
}

#[derive(Debug, Default)]
struct Script {
    next: HashMap<String, VecDeque<Reaction>>,
    always: HashMap<String, Reaction>,
    received: Vec<Received>,
}

/// A receiver. It answers everything with 204 unless it is told otherwise.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Receiver {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, script, accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL for a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn with<T>(&self, run: impl FnOnce(&mut Script) -> T) -> T {
        run(&mut self.script.lock().expect("nobody panics while holding it"))
    }

    /// Answers the next requests for a path so, in this order.
    pub fn next(&self, path: &str, reactions: impl IntoIterator<Item = Reaction>) {
        self.with(|script| script.next.entry(path.to_owned()).or_default().extend(reactions));
    }

    /// Answers all other requests for a path so.
    pub fn always(&self, path: &str, reaction: Reaction) {
        self.with(|script| script.always.insert(path.to_owned(), reaction));
    }

    /// What has come for a path, in order.
    #[must_use]
    pub fn received(&self, path: &str) -> Vec<Received> {
        self.with(|script| script.received.iter().filter(|request| request.path == path).cloned().collect())
    }

    /// Waits until so many requests have come for a path.
    ///
    /// # Panics
    /// If they do not come within 180 s.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Received> {
        let enough = async || Some(self.received(path)).filter(|received| received.len() >= count);
        eventually(&format!("{count} requests for {path}"), DEADLINE, enough).await
    }
}

/// Serves one connection until it ends.
async fn serve(stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let reaction = {
            let mut script = script.lock().expect("nobody panics while holding it");
            let path = request.path.clone();
            script.received.push(request);
            let next = script.next.get_mut(&path).and_then(VecDeque::pop_front);
            next.or_else(|| script.always.get(&path).cloned()).unwrap_or_else(|| Reaction::status(204))
        };
        if reaction.hangs {
            std::future::pending::<()>().await;
        }
        if let Some(let_go) = reaction.held {
            let_go.notified().await;
        }
        if let Some(delay) = reaction.delay {
            sleep(delay).await;
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", reaction.status);
        if reaction.status != 204 {
            head.push_str(&format!("content-length: {}\r\n", reaction.body.len()));
        }
        for (name, value) in reaction.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.push_str(&reaction.body);
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request on a connection; none at its end.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { path, headers, body: body.into(), at: Instant::now() })
}
