//! Authentication by the API token, if one is set.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use serde_json::json;
use subtle::ConstantTimeEq;
use tower_http::validate_request::ValidateRequest;

use crate::client_address::client_address;
use crate::middleware::Middleware;
use crate::observe::RequestContext;
use crate::query;
use crate::rate_limit::RateLimiter;

const API_KEY: &str = "x-api-key";
/// How many requests without a valid token get 401 per minute and client; more get 429. They count apart from others, so
/// that a wrong token of one program keeps no other program of its machine out.
const MAX_FAILURES_PER_MIN: u64 = 30;

/// The token that requests must carry, and the query parameter that may hold it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token; none: every request is accepted.
    pub required: Option<String>,
    /// The query parameter that may hold it.
    pub query_param: String,
}

/// Lets a request pass if its route is public or it carries the token.
#[derive(Clone)]
pub(crate) struct Authenticate {
    middleware: Arc<Middleware>,
    failures: Arc<RateLimiter>,
}

impl Authenticate {
    pub(crate) fn new(middleware: Arc<Middleware>) -> Self {
        Self { middleware, failures: Arc::new(RateLimiter::new(MAX_FAILURES_PER_MIN, None)) }
    }
}

impl ValidateRequest<Body> for Authenticate {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request) -> Result<(), Response> {
        let is_public =
            request.extensions().get::<RequestContext>().is_some_and(|context| context.route.is_public);
        if is_public {
            return Ok(());
        }
        let middleware = &self.middleware;
        middleware.token.check(request.headers(), request.uri()).map_err(|error| {
            let client = client_address(request, &middleware.trusted_proxies);
            self.failures.count_failure(client, middleware.clock.now(), error)
        })
    }
}

impl Token {
    /// Checks the token of a request. The first one counts, in this order: `x-api-key`, `Authorization: Bearer`, the query
    /// parameter. The comparison takes constant time.
    fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), DomainError> {
        let Some(required) = &self.required else { return Ok(()) };
        let given = header_token(headers)
            .or_else(|| query::value(uri, &self.query_param).filter(|token| !token.trim().is_empty()));
        if given.is_some_and(|given| given.trim().as_bytes().ct_eq(required.as_bytes()).into()) {
            return Ok(());
        }
        let auth = json!({ "header": API_KEY, "query": self.query_param });
        Err(DomainError::new(Code::Unauthorized).with("auth", auth))
    }
}

fn header_token(headers: &HeaderMap) -> Option<String> {
    // A value that is not UTF-8 is a wrong token, not a missing one.
    let text = |name: &str| {
        let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_owned();
        Some(value).filter(|text| !text.is_empty())
    };
    let bearer = || {
        let value = text(header::AUTHORIZATION.as_str())?;
        let (scheme, token) = value.split_once(' ')?;
        let token = scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
        token.filter(|token| !token.is_empty())
    };
    text(API_KEY).or_else(bearer)
}
