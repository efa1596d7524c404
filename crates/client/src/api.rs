//! Requests to the API: its address, the token, and why a request fails.

use std::error::Error;
use std::time::Duration;

use agentcafe_domain::kernel::{Code, Sequence};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde_json::Value;

/// The path of the event stream.
pub const EVENT_STREAM_PATH: &str = "/v1/streams/market-events";
const API_KEY: &str = "x-api-key";
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The API refuses names that it does not know.
const STRICT: HeaderValue = HeaderValue::from_static("handling=strict");
/// How long the headers of a response, or a whole short response, may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than the 60 s after which servers and load balancers usually close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Query parameters of a stream's address that are ignored: the client sets them.
const IGNORED_PARAMETERS: [&str; 2] = ["cursor", "limit"];

/// The names and values of a query.
pub type Query = Vec<(&'static str, String)>;

/// A client of one API. Clones share their connections.
#[derive(Clone, Debug)]
pub struct ApiClient {
    http: Client,
    base: Url,
    stream: Url,
    /// The address for people.
    address: String,
    has_token: bool,
}

/// Why an address or a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not the URL of a server.
    #[error("it must look like http://127.0.0.1:3850")]
    InvalidUrl,
    /// It has another scheme than HTTP.
    #[error("only http:// and https:// addresses can be followed, not {0}://")]
    Scheme(String),
    /// The token has characters that a header cannot hold.
    #[error("the token cannot be sent")]
    Token,
    /// TLS cannot be set up on this machine.
    #[error("no connections can be made: {0}")]
    NoClient(#[from] reqwest::Error),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The connection failed or was lost.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered 429 or 5xx; a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// The server cannot read the next events: they are damaged.
    #[error("{message}")]
    DamagedEvents {
        /// What the server says.
        message: String,
        /// The last of them.
        to: Sequence,
    },
    /// The token is missing or wrong.
    #[error("the token is not accepted")]
    Unauthorized,
    /// The server has an event stream of another kind at this address.
    #[error("there is no event stream ({0})")]
    NoEventStream(String),
    /// The server has nothing at this address.
    #[error("{0}")]
    NotFound(String),
    /// The server rejected the request for another reason.
    #[error("{0}")]
    Rejected(String),
}

impl ApiClient {
    /// The API at this address, or whose event stream has this address. The stream's requests keep the parameters of its query.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn new(address: &str, token: Option<&str>) -> Result<Self, AddressError> {
        Self::at(api_and_stream(&server_url(address)?, false), token)
    }

    /// As [`ApiClient::new`], but an address with any other path is that of the event stream.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn from_stream_url(address: &str, token: Option<&str>) -> Result<Self, AddressError> {
        Self::at(api_and_stream(&server_url(address)?, true), token)
    }

    fn at((base, stream): (Url, Url), token: Option<&str>) -> Result<Self, AddressError> {
        let mut shown = base.clone();
        // A URL with a host has room for both.
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        let address = shown.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http: http_client(token)?, base, stream, address, has_token: token.is_some() })
    }

    /// The address for people: without the query, which may hold a token, and without user name and password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether its requests carry a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.has_token
    }

    /// Requests a path. The response is a success, and its body is still to be read.
    ///
    /// # Errors
    /// [`RequestError`] when the request fails.
    pub async fn get(&self, path: &str, query: &Query) -> Result<Response, RequestError> {
        self.request(join(&self.base, path), query).await
    }

    /// Requests a path with a short response, and reads it.
    ///
    /// # Errors
    /// [`RequestError`] when the request fails.
    pub async fn get_json(&self, path: &str, query: &Query) -> Result<Value, RequestError> {
        let response = self.get(path, query).await?;
        within_timeout(response.json()).await
    }

    /// As [`ApiClient::get_json`], with another token than that of the client.
    ///
    /// # Errors
    /// [`RequestError`] when the request fails.
    pub async fn get_json_as(&self, path: &str, token: &str) -> Result<Value, RequestError> {
        let response = success(self.http.get(join(&self.base, path)).header(API_KEY, token)).await?;
        within_timeout(response.json()).await
    }

    /// Sends a request that takes effect once under its idempotency key, and reads the response.
    ///
    /// # Errors
    /// [`RequestError`] when the request fails.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        idempotency_key: &str,
        body: &Value,
    ) -> Result<Value, RequestError> {
        let request = self.http.request(method, join(&self.base, path)).json(body);
        let response = success(request.header("idempotency-key", idempotency_key)).await?;
        within_timeout(response.json()).await
    }

    /// Opens the event stream.
    pub(crate) async fn open_stream(&self, query: &Query) -> Result<Response, RequestError> {
        let response = self.request(self.stream.clone(), query).await.map_err(|error| match error {
            RequestError::NotFound(why) => RequestError::NoEventStream(why),
            other => other,
        })?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|text| text.starts_with("text/event-stream")) {
            return Ok(response);
        }
        Err(RequestError::NoEventStream("another content type".to_owned()))
    }

    async fn request(&self, mut url: Url, query: &Query) -> Result<Response, RequestError> {
        url.query_pairs_mut().extend_pairs(query);
        success(self.http.get(url)).await
    }
}

/// Sends a request, whose response must be a success.
async fn success(request: RequestBuilder) -> Result<Response, RequestError> {
    let response = within_timeout(request.send()).await?;
    if response.status().is_success() { Ok(response) } else { Err(error_of(response).await) }
}

async fn error_of(response: Response) -> RequestError {
    let status = response.status();
    let body: Value = within_timeout(response.json()).await.unwrap_or_default();
    let message = body["error"]["message"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    let damaged_to = body["error"]["details"]["toCursor"].as_u64().map(Sequence);
    if let Some(to) = damaged_to.filter(|_| body["error"]["code"] == Code::DataLoss.as_str()) {
        return RequestError::DamagedEvents { message, to };
    }
    match status {
        StatusCode::UNAUTHORIZED => RequestError::Unauthorized,
        StatusCode::NOT_FOUND => RequestError::NotFound(message),
        StatusCode::TOO_MANY_REQUESTS => RequestError::Unavailable(message),
        _ if status.is_server_error() => RequestError::Unavailable(message),
        _ => RequestError::Rejected(message),
    }
}

fn http_client(token: Option<&str>) -> Result<Client, AddressError> {
    let mut headers = HeaderMap::from_iter([(PREFER, STRICT)]);
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(token).map_err(|_| AddressError::Token)?;
        value.set_sensitive(true);
        headers.insert(API_KEY, value);
    }
    // Redirects are not followed: the token must not reach another server.
    let builder = Client::builder().default_headers(headers).redirect(redirect::Policy::none());
    Ok(builder.connect_timeout(TIMEOUT).pool_idle_timeout(IDLE_TIMEOUT).build()?)
}

/// Parses the address of a server.
fn server_url(text: &str) -> Result<Url, AddressError> {
    let mut url = Url::parse(text).ok().filter(Url::has_host).ok_or(AddressError::InvalidUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme(url.scheme().to_owned()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// The address of the API, and that of its event stream, without the parameters that the client sets. Either may be given:
/// `is_stream` selects which one it is if its path is neither empty nor ends with [`EVENT_STREAM_PATH`].
fn api_and_stream(given: &Url, is_stream: bool) -> (Url, Url) {
    let path = given.path().trim_end_matches('/');
    let (base_path, stream_path) = match path.strip_suffix(EVENT_STREAM_PATH) {
        Some(base_path) => (base_path, path.to_owned()),
        None if is_stream && !path.is_empty() => ("", given.path().to_owned()),
        None => (path, format!("{path}{EVENT_STREAM_PATH}")),
    };
    let mut stream = given.clone();
    stream.set_query(None);
    let mut base = stream.clone();
    base.set_path(base_path);
    stream.set_path(&stream_path);
    for (name, value) in given.query_pairs().filter(|(name, _)| !IGNORED_PARAMETERS.contains(&&**name)) {
        stream.query_pairs_mut().append_pair(&name, &value);
    }
    (base, stream)
}

fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// Waits for a response at most [`TIMEOUT`].
async fn within_timeout<T>(response: impl Future<Output = reqwest::Result<T>>) -> Result<T, RequestError> {
    match tokio::time::timeout(TIMEOUT, response).await {
        Ok(response) => response.map_err(|error| RequestError::Unreachable(root_cause(&error.without_url()))),
        Err(_) => Err(RequestError::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

/// The innermost source of an error.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
