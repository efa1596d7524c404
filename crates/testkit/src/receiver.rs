//! A receiver of webhooks for tests: an HTTP server with scripted responses that keeps all requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Router, serve};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::wait::eventually;

/// How long [`Receiver::wait`] waits.
const DEADLINE: Duration = Duration::from_secs(180);

/// The response to a request.
#[derive(Clone, Debug)]
pub struct Reaction {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    delay: Option<Duration>,
    held: Option<Arc<Notify>>,
    hangs: bool,
}

impl Reaction {
    /// Responds immediately with this status.
    ///
    /// # Panics
    /// If it is no status code.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status code");
        Self { status, headers: HeaderMap::new(), body: String::new(), delay: None, held: None, hangs: false }
    }

    /// Responds immediately with this status and this body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::status(status) }
    }

    /// Responds immediately with this page.
    #[must_use]
    pub fn page(html: &str) -> Self {
        Self { body: html.to_owned(), ..Self::status(200) }.header("content-type", "text/html")
    }

    /// Never responds.
    #[must_use]
    pub fn hang() -> Self {
        Self { hangs: true, ..Self::status(200) }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// If it is no header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().expect("a header's value"));
        self
    }

    /// Responds when it is notified.
    #[must_use]
    pub fn held(self, release: &Arc<Notify>) -> Self {
        Self { held: Some(Arc::clone(release)), ..self }
    }

    /// Responds after a delay.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path and query.
    pub path: String,
    /// Its headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// When it had arrived completely.
    pub at: Instant,
}

impl Received {
    /// A header's value; empty if it is missing.
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

/// A receiver. It responds with 204 unless it is scripted otherwise.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
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
        let router = Router::new().fallback(respond).layer(DefaultBodyLimit::disable());
        let router = router.with_state(Arc::clone(&script));
        Self { address, script, serving: tokio::spawn(serve(listener, router).into_future()) }
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

    /// Responds to the next requests for a path in this way, in this order.
    pub fn next(&self, path: &str, reactions: impl IntoIterator<Item = Reaction>) {
        self.with(|script| script.next.entry(path.to_owned()).or_default().extend(reactions));
    }

    /// Responds to all other requests for a path in this way.
    pub fn always(&self, path: &str, reaction: Reaction) {
        self.with(|script| script.always.insert(path.to_owned(), reaction));
    }

    /// The requests for a path, in order.
    #[must_use]
    pub fn received(&self, path: &str) -> Vec<Received> {
        self.with(|script| script.received.iter().filter(|request| request.path == path).cloned().collect())
    }

    /// Waits until this many requests for a path have arrived.
    ///
    /// # Panics
    /// If they do not arrive within 180 s.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Received> {
        let enough = async || Some(self.received(path)).filter(|received| received.len() >= count);
        eventually(&format!("{count} requests for {path}"), DEADLINE, enough).await
    }
}

/// Stores a request, and responds as the script says.
async fn respond(
    State(script): State<Arc<Mutex<Script>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reaction = {
        let mut script = script.lock().expect("nobody panics while holding it");
        let path = uri.to_string();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let received = Received { path: path.clone(), headers: headers.collect(), body, at: Instant::now() };
        script.received.push(received);
        let next = script.next.get_mut(&path).and_then(VecDeque::pop_front);
        next.or_else(|| script.always.get(&path).cloned()).unwrap_or_else(|| Reaction::status(204))
    };
    if reaction.hangs {
        std::future::pending::<()>().await;
    }
    if let Some(release) = reaction.held {
        release.notified().await;
    }
    if let Some(delay) = reaction.delay {
        sleep(delay).await;
    }
    (reaction.status, reaction.headers, reaction.body).into_response()
}
