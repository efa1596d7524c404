//! An HTTP client for tests: it sends anything, well-formed or not, and returns the whole answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::sse::SseStream;

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The timeout of a request: longer than the longest long poll (30 s).
const ANSWER_DEADLINE: Duration = Duration::from_secs(45);

/// An idempotency key that no other call in this process has returned.
#[must_use]
pub fn fresh_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test-key-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A client of one server, or of the nodes of one in turn. The server refuses names that it does not know. Clones share their
/// connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    bases: Arc<[Url]>,
    next: Arc<AtomicUsize>,
    headers: HeaderMap,
}

impl Client {
    /// A client of the server at this address, with connections of its own.
    ///
    /// # Panics
    /// If no HTTP client can be made on this machine.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self::of_nodes([address])
    }

    /// A client of the server whose nodes are at these addresses, with connections of its own.
    ///
    /// # Panics
    /// If no HTTP client can be made on this machine.
    #[must_use]
    pub fn of_nodes(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        // Required even for plain HTTP; another client may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without root certificates, because reading them takes long.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
        let http = http.expect("a plain HTTP client can be built");
        let base = |address| Url::parse(&format!("http://{address}")).expect("a socket address makes a URL");
        let bases = addresses.into_iter().map(base).collect();
        let strict = HeaderMap::from_iter([(PREFER, HeaderValue::from_static("handling=strict"))]);
        Self { http, bases, next: Arc::default(), headers: strict }
    }

    /// The same client, which does not ask the server to refuse unknown names.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.headers.remove(PREFER);
        self
    }

    /// The same client, which sends this header with every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        insert(&mut self.headers, name, value);
        self
    }

    /// The same client, headers included, of the server at this address.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        Self { headers: self.headers, ..Self::new(address) }
    }

    /// Begins a request. `path` starts with `/` and may carry an encoded query.
    ///
    /// # Panics
    /// If `path` makes no URL.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> Request {
        let base = &self.bases[self.next.fetch_add(1, Ordering::Relaxed) % self.bases.len()];
        let url = base.join(path).unwrap_or_else(|error| panic!("{path:?} makes no URL: {error}"));
        Request { http: self.http.clone(), method, url, headers: self.headers.clone(), body: None }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    /// `GET path`, of each node.
    pub async fn everywhere(&self, path: &str) -> Vec<Answer> {
        let mut answers = Vec::new();
        for base in self.bases.iter() {
            let one = Self { bases: Arc::new([base.clone()]), ..self.clone() };
            answers.push(one.get(path).await);
        }
        answers
    }

    /// `POST path` with this idempotency key and this body.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.request(Method::POST, path).key(key).json(&body).send().await
    }

    /// `POST path` with an idempotency key of its own: something new happens.
    pub async fn act(&self, path: &str, body: Value) -> Answer {
        self.post(path, &fresh_key(), body).await
    }

    /// Opens the event stream at `path`.
    ///
    /// # Panics
    /// If the server refuses; [`Request::stream`] returns the refusal.
    pub async fn stream(&self, path: &str) -> SseStream {
        let opened = self.request(Method::GET, path).stream().await;
        opened.unwrap_or_else(|refused| panic!("{path} was refused: {} {}", refused.status, refused.text))
    }
}

/// A request that is being built.
#[derive(Debug)]
pub struct Request {
    http: reqwest::Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl Request {
    /// Sets a header; an earlier value is replaced.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        insert(&mut self.headers, name, value);
        self
    }

    /// Sets the idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Adds a query parameter, encoded.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sets a body of any bytes.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Some(bytes.into());
        self
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Panics
    /// If there is no answer; [`Request::try_send`] is for servers that die.
    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.url);
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: no answer: {error:?}"))
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Errors
    /// When the connection fails, or ends before the answer does.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.build().timeout(ANSWER_DEADLINE).send().await?;
        Answer::read(response).await
    }

    /// Sends it and reads the answer as an event stream.
    ///
    /// # Errors
    /// The answer, if it is no event stream.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn stream(self) -> Result<SseStream, Answer> {
        let what = format!("{} {}", self.method, self.url);
        let stream = self.try_stream().await;
        stream.map_err(|answer| answer.unwrap_or_else(|| panic!("{what}: no answer")))
    }

    /// Sends it to a server that may die at any moment, and reads the answer as an event stream.
    ///
    /// # Errors
    /// The answer, if it is no event stream; none if there is no answer.
    pub async fn try_stream(self) -> Result<SseStream, Option<Answer>> {
        let opening =
            tokio::time::timeout(ANSWER_DEADLINE, self.build().header("accept", "text/event-stream").send());
        let Ok(Ok(response)) = opening.await else { return Err(None) };
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Ok(SseStream::new(response));
        }
        Err(Answer::read(response).await.ok())
    }

    fn build(self) -> reqwest::RequestBuilder {
        let request = self.http.request(self.method, self.url).headers(self.headers);
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?;
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Self { status, headers, text: String::from_utf8_lossy(&bytes).into_owned(), json })
    }

    /// A header's value, if it is there and readable.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `data` of a success.
    ///
    /// # Panics
    /// If the answer is no success in the envelope of the API.
    #[track_caller]
    #[must_use]
    pub fn data(&self) -> &Value {
        let success =
            (200..300).contains(&self.status) && self.json["ok"] == true && self.json["data"].is_object();
        assert!(success, "no success: {} {}", self.status, self.text);
        &self.json["data"]
    }

    /// The `error.details` of a refusal with this status and this code.
    ///
    /// # Panics
    /// If the answer is another one, or not in the envelope of the API.
    #[track_caller]
    #[must_use]
    pub fn error(&self, status: u16, code: &str) -> &Value {
        let error = &self.json["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert!(self.json["ok"] == false && error["message"].is_string(), "no error envelope: {}", self.text);
        assert_eq!(error["requestId"].as_str(), self.header("x-request-id"), "{}", self.text);
        assert!(error["details"].is_object(), "details are no object: {}", self.text);
        &error["details"]
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let header = name.parse::<HeaderName>().ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
    let (name, value) = header.unwrap_or_else(|| panic!("{name:?}: {value:?} is no header"));
    headers.insert(name, value);
}
