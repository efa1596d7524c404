//! The layer between browsers and the routes: refuses requests that a page must not send, answers preflight requests (CORS), and
//! adds the headers by which browsers protect responses.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either, ready};
use futures_util::{FutureExt, TryFutureExt};
use tower::Service;

use crate::browser_policy::other_site;
use crate::error::ApiError;
use crate::middleware::Middleware;
use crate::single_headers;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
/// How long a browser may keep the response to a preflight request, in seconds.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// The response headers that pages of other origins may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, x-request-id, x-correlation-id, x-replay-correlation-id, x-idempotent-replay, x-ratelimit-limit, \
     x-ratelimit-remaining, x-ratelimit-reset, ratelimit, ratelimit-policy",
);

/// Marks a request that a page of another origin sends, which the settings do not name.
#[derive(Clone, Copy, Debug)]
struct ForeignPage;

/// Whether a page of another origin sends the request, which the settings do not name: it must have no effect that the page's
/// visitor did not ask for.
pub fn is_from_foreign_page(extensions: &Extensions) -> bool {
    extensions.get::<ForeignPage>().is_some()
}

/// Checks the headers of a request that decide who may send it, before anything else looks at them.
#[derive(Clone)]
pub(crate) struct CheckOrigin<S> {
    pub(crate) inner: S,
    pub(crate) middleware: Arc<Middleware>,
}

impl<S> Service<Request> for CheckOrigin<S>
where
    S: Service<Request, Response = Response, Error: Send + 'static, Future: Send + 'static>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Middleware { browsers, token, .. } = &*self.middleware;
        let mut checked = single_headers::check(&request);
        if token.required.is_none() {
            checked = checked.and_then(|()| browsers.check(&request));
        }
        let headers = request.headers();
        let allowed_origin = browsers.allowed_origin(headers).cloned();
        let is_foreign = allowed_origin.is_none() && other_site(headers).is_some();
        let is_preflight = allowed_origin.is_some()
            && request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let has_origins = !browsers.allowed_origins.is_empty();
        let response = match checked {
            Err(error) => Either::Left(ready(Ok(ApiError::from(error).into_response()))),
            Ok(()) if is_preflight => Either::Left(ready(Ok(preflight_response(headers)))),
            Ok(()) => {
                if is_foreign {
                    request.extensions_mut().insert(ForeignPage);
                }
                Either::Right(self.inner.call(request))
            }
        };
        let protected = move |mut response: Response| {
            protect(response.headers_mut(), allowed_origin, has_origins);
            response
        };
        response.map_ok(protected).boxed()
    }
}

/// The response to a browser that asks what a page may send.
fn preflight_response(request: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
    if let Some(names) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if request.contains_key(REQUEST_PRIVATE_NETWORK) {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}

/// Adds what browsers go by: which page may read the response, and that it is what its type says.
fn protect(headers: &mut HeaderMap, allowed_origin: Option<HeaderValue>, has_origins: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let readers = if allowed_origin.is_some() { "cross-origin" } else { "same-origin" };
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static(readers));
    if let Some(origin) = allowed_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    if has_origins {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}
