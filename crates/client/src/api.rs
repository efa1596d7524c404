//! The API that is followed: its address, our token, and what its refusals mean.

use std::{error::Error, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};
use serde_json::Value;

/// Where the API has its event stream.
pub const STREAM: &str = "/v1/streams/market-events";
/// How long the start of an answer, or a whole short one, may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of what a stream is asked for, this is ours to say.
const OURS: [&str; 2] = ["cursor", "limit"];

/// Names and values of a URL's query.
pub type Query = Vec<(&'static str, String)>;

/// Where to ask, and as whom. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    base: Url,
    stream: Url,
}

/// Why an address, or a token, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// It is no URL of a server.
    #[error("it must look like http://127.0.0.1:3850")]
    NoServer,
    /// It is a URL of something else.
    #[error("only http:// and https:// addresses can be followed, not {0}://")]
    Scheme(String),
    /// The token has characters that no header can carry.
    #[error("the token cannot be sent")]
    Token,
    /// There is no TLS to be had on this machine.
    #[error("no connections can be made: {0}")]
    NoClient(#[from] reqwest::Error),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody answers, or no longer.
    #[error("{0}")]
    Unreachable(String),
    /// The server answers that it cannot, which may pass.
    #[error("{0}")]
    Unavailable(String),
    /// The server wants another token, or one.
    #[error("the token is not accepted")]
    Unauthorized,
    /// There is no event stream.
    #[error("there is no event stream ({0})")]
    NoStream(String),
    /// The server will not.
    #[error("{0}")]
    Refused(String),
}

impl Api {
    /// The API whose routes are below this address, asked with this token.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn new(address: &str, token: Option<&str>) -> Result<Self, BadAddress> {
        let mut base = server(address)?;
        base.set_query(None);
        let stream = below(&base, STREAM);
        Ok(Self { http: client(token)?, base, stream })
    }

    /// The API whose event stream has this address. What else stands in its query is sent along.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn at_stream(address: &str, token: Option<&str>) -> Result<Self, BadAddress> {
        let mut stream = server(address)?;
        let kept: Vec<(String, String)> = stream.query_pairs().into_owned().collect();
        stream.set_query(None);
        let mut base = stream.clone();
        base.set_path(stream.path().strip_suffix(STREAM).unwrap_or_default());
        for (name, value) in kept.iter().filter(|(name, _)| !OURS.contains(&name.as_str())) {
            stream.query_pairs_mut().append_pair(name, value);
        }
        Ok(Self { http: client(token)?, base, stream })
    }

    /// The address, as a person wrote it; without a query, which may hold a token.
    #[must_use]
    pub fn name(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Asks a route, and gives the start of its answer, which is a success.
    ///
    /// # Errors
    /// [`Failure`] says why there is none.
    pub async fn get(&self, path: &str, query: &Query) -> Result<Response, Failure> {
        self.ask(below(&self.base, path), query).await
    }

    /// Asks a route whose answer is short, and reads it.
    ///
    /// # Errors
    /// [`Failure`] says why there is none.
    pub async fn get_json(&self, path: &str, query: &Query) -> Result<Value, Failure> {
        let response = self.get(path, query).await?;
        patiently(response.json()).await
    }

    /// Opens the event stream.
    pub(crate) async fn open(&self, query: &Query) -> Result<Response, Failure> {
        let response = self.ask(self.stream.clone(), query).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|text| text.starts_with("text/event-stream")) {
            return Ok(response);
        }
        Err(Failure::NoStream("another kind of answer".to_owned()))
    }

    async fn ask(&self, mut url: Url, query: &Query) -> Result<Response, Failure> {
        url.query_pairs_mut().extend_pairs(query);
        let response = patiently(self.http.get(url).send()).await?;
        if response.status().is_success() { Ok(response) } else { Err(failure(response).await) }
    }
}

async fn failure(response: Response) -> Failure {
    let status = response.status();
    let body: Value = patiently(response.json()).await.unwrap_or_default();
    let why = body["error"]["message"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    match status {
        StatusCode::UNAUTHORIZED => Failure::Unauthorized,
        StatusCode::NOT_FOUND => Failure::NoStream(why),
        StatusCode::TOO_MANY_REQUESTS => Failure::Unavailable(why),
        _ if status.is_server_error() => Failure::Unavailable(why),
        _ => Failure::Refused(why),
    }
}

fn client(token: Option<&str>) -> Result<Client, BadAddress> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(token).map_err(|_| BadAddress::Token)?;
        value.set_sensitive(true);
        headers.insert("x-api-key", value);
    }
    // Redirects are not followed, so that the token goes nowhere else.
    let builder = Client::builder().default_headers(headers).connect_timeout(TIMEOUT);
    Ok(builder.redirect(redirect::Policy::none()).build()?)
}

/// The address of a server that can be asked.
fn server(text: &str) -> Result<Url, BadAddress> {
    let mut url = Url::parse(text).ok().filter(Url::has_host).ok_or(BadAddress::NoServer)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadAddress::Scheme(url.scheme().to_owned()));
    }
    url.set_fragment(None);
    Ok(url)
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// Waits for an answer as long as [`PATIENCE`].
async fn patiently<T>(answer: impl Future<Output = reqwest::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| Failure::Unreachable(root_cause(&error))),
        Err(_) => Err(Failure::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

/// What an error comes down to.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_or_explained() {
        let cases = [
            ("http://127.0.0.1:3850", Some("http://127.0.0.1:3850/")),
            ("http://cafe.example/runtime/?a=b#c", Some("http://cafe.example/runtime/?a=b")),
            ("https://cafe.example", Some("https://cafe.example/")),
            ("ftp://cafe.example", None),
            ("127.0.0.1:3850", None),
            ("localhost:3850", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(server(text).ok().as_ref().map(Url::as_str), want, "{text:?}");
        }
    }

    /// CONTRACT 17 and 18: a base address or the stream's own may be given; what to begin at is never the address's to say.
    #[test]
    fn the_stream_is_found_from_either_address() {
        // Only one part of a process ever installs it; here, whichever test comes first.
        let whole = "http://cafe.example/runtime/v1/streams/market-events";
        let with_query = format!("{whole}?apiKey=s3cret&limit=5&cursor=9");
        let base = server("http://cafe.example/runtime/").unwrap();
        assert_eq!(below(&base, STREAM).as_str(), whole);
        let stream = server(&with_query).unwrap();
        let kept: Vec<_> =
            stream.query_pairs().into_owned().filter(|(name, _)| !OURS.contains(&name.as_str())).collect();
        assert_eq!(kept, [("apiKey".to_owned(), "s3cret".to_owned())]);
    }
}
