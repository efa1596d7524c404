//! Authentication: finds the token in a request, and who calls with it.

use std::sync::Arc;
use std::task::{Context, Poll};

use agentcafe_domain::kernel::{Code, OperationError};
use agentcafe_domain::keys::tickets::StreamUrl;
use agentcafe_domain::keys::token::Token as ApiKeyToken;
use agentcafe_domain::keys::{Principal, Scope};
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use serde_json::json;
use subtle::ConstantTimeEq;
use tower::Service;

use crate::client_address::client_address;
use crate::error::ApiError;
use crate::middleware::{Middleware, RouteAccess, RouteTraits};
use crate::observe::RequestContext;
use crate::query;
use crate::rate_limit::RateLimiter;

const API_KEY: &str = "x-api-key";
/// How many requests without a valid token get 401 per minute and client; more get 429. They count apart from others, so
/// that a wrong token of one program keeps no other program of its machine out.
pub(crate) const MAX_FAILURES_PER_MIN: u64 = 30;

/// The query parameter that may hold a ticket.
pub(crate) const TICKET_PARAM: &str = "ticket";

/// What a request says about its caller.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Nothing.
    Missing,
    /// A token: an API key, or the one that all callers share.
    Token(String),
    /// A ticket for this stream.
    Ticket(String, StreamUrl),
}

/// Who calls, as soon as that is known.
pub type CallerFuture = BoxFuture<'static, Result<Principal, OperationError>>;

/// Finds out who calls.
pub trait Authenticator: Send + Sync {
    /// Who calls with these credentials.
    ///
    /// # Errors
    /// `ERR_UNAUTHORIZED`, or why that cannot be found out.
    fn authenticate(self: Arc<Self>, credentials: Credentials) -> CallerFuture;

    /// Whether callers without a token are let in, as far as is known.
    fn is_open(&self) -> bool;
}

/// The token that all callers share, and the query parameter that may hold it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token; none: none is shared.
    pub required: Option<String>,
    /// The query parameter that may hold it.
    pub query_param: String,
}

impl Token {
    /// Whether a token is the shared one. The comparison takes constant time.
    pub fn is_shared(&self, given: &str) -> bool {
        let is_same = |required: &String| given.as_bytes().ct_eq(required.as_bytes()).into();
        self.required.as_ref().is_some_and(is_same)
    }
}

/// Whether the caller of a route, which may be public, may observe: by its key, the shared token, or because none is needed.
pub fn may_observe(extensions: &Extensions) -> bool {
    let caller = extensions.get::<Principal>();
    caller.is_some_and(|caller| caller.check(&[Scope::Observe]).is_ok())
}

/// Lets a request pass if its route is for everybody or its credentials are valid, and adds its [`Principal`] to it.
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
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let context = request.extensions().get::<RequestContext>();
        let route = context.map_or(RouteTraits::UNMATCHED, |context| context.route);
        if route.access == RouteAccess::Everybody {
            return Either::Left(self.inner.call(request));
        }
        let credentials = self.middleware.credentials(&request, route);
        if route.access == RouteAccess::Observers && matches!(credentials, Credentials::Missing) {
            // Health checks do not wait for the store.
            if self.middleware.authenticator.is_open() {
                request.extensions_mut().insert(Principal::Shared);
            }
            return Either::Left(self.inner.call(request));
        }
        let mut authentication = Arc::clone(&self.middleware.authenticator).authenticate(credentials);
        // Most callers are known: they cost no future of their own.
        let known = match (&mut authentication).now_or_never() {
            Some(Ok(principal)) => {
                request.extensions_mut().insert(principal);
                return Either::Left(self.inner.call(request));
            }
            known => known,
        };
        let (middleware, failures) = (Arc::clone(&self.middleware), Arc::clone(&self.failures));
        // The service that is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let responding = async move {
            let result = match known {
                Some(result) => result,
                None => authentication.await,
            };
            match result {
                Ok(principal) => {
                    request.extensions_mut().insert(principal);
                    inner.call(request).await
                }
                Err(_) if route.access == RouteAccess::Observers => inner.call(request).await,
                Err(error) if error.error.code == Code::Unauthorized => {
                    let auth = json!({ "header": API_KEY, "query": middleware.token_param });
                    let client = client_address(&request, &middleware.trusted_proxies);
                    Ok(failures.count_failure(client, middleware.clock.now(), error.error.with("auth", auth)))
                }
                Err(error) => Ok(ApiError(error).into_response()),
            }
        };
        Either::Right(responding.boxed())
    }
}

impl Middleware {
    /// What a request says about its caller. A token counts before a ticket, and the first of these: `x-api-key`,
    /// `Authorization: Bearer`, the query parameter.
    fn credentials(&self, request: &Request, route: RouteTraits) -> Credentials {
        let uri = request.uri();
        let in_query = |name| query::value(uri, name).and_then(|text| filled(&text));
        // An API key in a URL would be in logs and histories: it does not count there.
        let shared = || in_query(&self.token_param).filter(|token| ApiKeyToken::parse(token).is_none());
        let token = header_token(request.headers()).or_else(shared);
        let opens_stream = route.access == RouteAccess::Tickets && request.method() == Method::GET;
        let ticket = || in_query(TICKET_PARAM).filter(|_| opens_stream);
        match (token, ticket) {
            (Some(token), _) => Credentials::Token(token),
            (None, ticket) => ticket().map_or(Credentials::Missing, |ticket| {
                let mut parameters = query::parameters(uri);
                parameters.remove(TICKET_PARAM);
                Credentials::Ticket(ticket, StreamUrl { path: uri.path().to_owned(), query: parameters })
            }),
        }
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
