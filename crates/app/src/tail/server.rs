//! The server that is followed: its address, our token, and what its refusals mean for a person.

use std::{error::Error, time::Duration};

use agentcafe_domain::ids::Sequence;
use anyhow::{Context, bail};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};
use serde_json::Value;

use super::{
    event::{Event, telling_types},
    harmless::harmless,
};
use crate::cli::TailOptions;

const STANDARD_URL: &str = "http://127.0.0.1:3850";
const STREAM: &str = "/v1/streams/market-events";
const TIMELINE: &str = "/v1/timeline";
/// How long the start of an answer, or a whole short one, may take.
const PATIENCE: Duration = Duration::from_secs(10);

type Query = Vec<(&'static str, String)>;

/// Where to ask, and as whom.
pub(super) struct Server {
    http: Client,
    base: Url,
    has_token: bool,
    /// The tenant and the room to which everything asked is restricted.
    scope: Query,
    all_types: bool,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody answers, or no longer.
    #[error("{0}")]
    Unreachable(String),
    /// The server answers that it cannot, which may pass.
    #[error("{0}")]
    Unavailable(String),
    /// The server will not, and asking again does not help.
    #[error("{0}")]
    Refused(String),
}

impl Server {
    /// The server of the options and the environment.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub(super) fn of(options: &TailOptions) -> anyhow::Result<Self> {
        let url = options.url.clone().or_else(|| variable("AGENTCAFE_URL"));
        let token = variable("AGENTCAFE_TOKEN");
        let mut headers = HeaderMap::new();
        if let Some(token) = &token {
            let mut value = HeaderValue::from_str(token).context("AGENTCAFE_TOKEN cannot be sent")?;
            value.set_sensitive(true);
            headers.insert("x-api-key", value);
        }
        // Redirects are not followed, so that the token goes nowhere else.
        let http = Client::builder()
            .default_headers(headers)
            .connect_timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .build()?;
        let scope = [("tenantId", &options.tenant), ("roomId", &options.room)];
        let scope = scope.into_iter().filter_map(|(name, id)| Some((name, id.clone()?))).collect();
        let base = address(url.as_deref().unwrap_or(STANDARD_URL))?;
        Ok(Self { http, base, has_token: token.is_some(), scope, all_types: options.all })
    }

    /// The address, as a person wrote it.
    pub(super) fn name(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Opens the stream behind a sequence; without one, at the newest event.
    pub(super) async fn stream(&self, after: Option<Sequence>) -> Result<Response, Failure> {
        let cursor = after.map_or_else(|| "latest".to_owned(), |after| after.to_string());
        let response = self.get(STREAM, vec![("cursor", cursor)]).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|text| text.starts_with("text/event-stream")) {
            return Ok(response);
        }
        Err(Failure::Refused(format!("{} answers without a stream: is it an AgentCafe server?", self.name())))
    }

    /// The last `count` events up to a sequence, oldest first.
    pub(super) async fn latest(&self, up_to: Sequence, count: u16) -> Result<Vec<Event>, Failure> {
        let mut query = vec![
            ("order", "desc".to_owned()),
            ("cursor", up_to.next().to_string()),
            ("limit", count.to_string()),
        ];
        if !self.all_types {
            query.push(("types", telling_types().collect::<Vec<_>>().join(",")));
        }
        let response = self.get(TIMELINE, query).await?;
        let mut body: Value = patiently(response.json()).await?;
        let events = serde_json::from_value::<Vec<Event>>(body["data"]["events"].take());
        let mut events = events.map_err(|error| Failure::Refused(format!("{TIMELINE}: {error}")))?;
        events.reverse();
        Ok(events)
    }

    async fn get(&self, path: &str, query: Query) -> Result<Response, Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(self.scope.iter().chain(&query));
        let response = patiently(self.http.get(url).send()).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.failure(response).await) }
    }

    async fn failure(&self, response: Response) -> Failure {
        let (name, status) = (self.name(), response.status());
        let body: Value = patiently(response.json()).await.unwrap_or_default();
        let why =
            body["error"]["message"].as_str().map_or_else(|| status.to_string(), |why| harmless(why).into());
        match status {
            StatusCode::UNAUTHORIZED if self.has_token => {
                Failure::Refused(format!("{name} does not accept the token in AGENTCAFE_TOKEN"))
            }
            StatusCode::UNAUTHORIZED => Failure::Refused(format!(
                "{name} wants a token: set AGENTCAFE_TOKEN to what the server has as API_AUTH_TOKEN"
            )),
            StatusCode::NOT_FOUND => {
                Failure::Refused(format!("{name} has no event stream ({why}): is it an AgentCafe server?"))
            }
            StatusCode::TOO_MANY_REQUESTS => Failure::Unavailable(why),
            _ if status.is_server_error() => Failure::Unavailable(why),
            _ => Failure::Refused(format!("{name} refuses: {why}")),
        }
    }
}

/// An environment variable that is set and not blank.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// An address that can be asked.
fn address(text: &str) -> anyhow::Result<Url> {
    let Some(mut url) = Url::parse(text).ok().filter(Url::has_host) else {
        bail!("the server's address must look like {STANDARD_URL}, not {:?}", harmless(text));
    };
    if url.scheme() != "http" {
        bail!("only http:// addresses can be followed, not {}://", url.scheme());
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Waits for an answer as long as [`PATIENCE`].
async fn patiently<T>(answer: impl Future<Output = reqwest::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| Failure::Unreachable(root_cause(&error))),
        Err(_) => Err(Failure::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// What an error comes down to.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
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
            ("http://cafe.example/runtime/?a=b#c", Some("http://cafe.example/runtime/")),
            ("127.0.0.1:3850", None),
            ("localhost:3850", None),
            ("https://cafe.example", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(address(text).ok().as_ref().map(Url::as_str), want, "{text:?}");
        }
    }
}
