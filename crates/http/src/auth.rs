//! Authentication: finds the token in a request, and who calls with it.

use std::sync::Arc;
use std::task::{Context, Poll};

use agentcafe_domain::kernel::{Code, DomainError, OperationError};
use agentcafe_domain::keys::Principal;
use axum::extract::Request;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde_json::json;
use subtle::ConstantTimeEq;
use tower::Service;

use crate::client_address::client_address;
use crate::error::ApiError;
use crate::middleware::Middleware;
use crate::observe::RequestContext;
use crate::query;
use crate::rate_limit::RateLimiter;

const API_KEY: &str = "x-api-key";
/// How many requests without a valid token get 401 per minute and client; more get 429. They count apart from others, so
/// that a wrong token of one program keeps no other program of its machine out.
pub(crate) const MAX_FAILURES_PER_MIN: u64 = 30;

/// Finds out who calls.
pub trait Authenticator: Send + Sync {
    /// Who calls with this token, or without one.
    ///
    /// # Errors
    /// `ERR_UNAUTHORIZED`, or why that cannot be found out.
    fn authenticate<'a>(&'a self, token: Option<&'a str>)
    -> BoxFuture<'a, Result<Principal, OperationError>>;

    /// Whether callers without a token are let in, as far as is known.
    fn is_open(&self) -> bool;
}

/// The token that all callers share, and the query parameter that may hold it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token; none: every request is accepted.
    pub required: Option<String>,
    /// The query parameter that may hold it.
    pub query_param: String,
}

/// The comparison takes constant time.
impl Authenticator for Token {
    fn authenticate<'a>(
        &'a self,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Principal, OperationError>> {
        let is_right =
            |required: &String| token.is_some_and(|given| given.as_bytes().ct_eq(required.as_bytes()).into());
        let principal = self.required.as_ref().is_none_or(is_right).then_some(Principal::Shared);
        ready(principal.ok_or_else(|| DomainError::new(Code::Unauthorized).into())).boxed()
    }

    fn is_open(&self) -> bool {
        self.required.is_none()
    }
}

/// Lets a request pass if its route is public or its token is valid, and adds its [`Principal`] to it.
#[derive(Clone)]
pub(crate) struct Authenticate<S> {
    pub(crate) inner: S,
    pub(crate) middleware: Arc<Middleware>,
    /// Counts requests without a valid token.
    pub(crate) failures: Arc<RateLimiter>,
}

impl<S> Service<Request> for Authenticate<S>
where
    S: Service<Request, Response = Response, Future: Send + 'static> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if request.extensions().get::<RequestContext>().is_some_and(|context| context.route.is_public) {
            return self.inner.call(request).boxed();
        }
        let (middleware, failures) = (Arc::clone(&self.middleware), Arc::clone(&self.failures));
        // The service that is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        async move {
            let token = middleware.token(request.headers(), request.uri());
            match middleware.authenticator.authenticate(token.as_deref()).await {
                Ok(principal) => {
                    request.extensions_mut().insert(principal);
                    inner.call(request).await
                }
                Err(error) if error.error.code == Code::Unauthorized => {
                    let auth = json!({ "header": API_KEY, "query": middleware.token_param });
                    let client = client_address(&request, &middleware.trusted_proxies);
                    Ok(failures.count_failure(client, middleware.clock.now(), error.error.with("auth", auth)))
                }
                Err(error) => Ok(ApiError(error).into_response()),
            }
        }
        .boxed()
    }
}

impl Middleware {
    /// The token of a request. The first one counts, in this order: `x-api-key`, `Authorization: Bearer`, the query parameter.
    fn token(&self, headers: &HeaderMap, uri: &Uri) -> Option<String> {
        let in_query = || query::value(uri, &self.token_param).and_then(|token| filled(&token));
        header_token(headers).or_else(in_query)
    }
}

fn filled(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn header_token(headers: &HeaderMap) -> Option<String> {
    // A value that is not UTF-8 is a wrong token, not a missing one.
    let text = |name: &str| filled(&String::from_utf8_lossy(headers.get(name)?.as_bytes()));
    let bearer = || {
        let value = text(header::AUTHORIZATION.as_str())?;
        let (scheme, token) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") { filled(token) } else { None }
    };
    text(API_KEY).or_else(bearer)
}
