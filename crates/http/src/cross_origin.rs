//! What browsers go by: refuses requests that a web page must not send, answers preflight requests (CORS), and adds the headers
//! that protect responses.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::validate_request::ValidateRequest;

use crate::error::ApiError;
use crate::middleware::Middleware;
use crate::observe::RequestContext;
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
     x-ratelimit-remaining, x-ratelimit-reset, ratelimit, ratelimit-policy, \
     x-agentcafe-warnings, preference-applied",
);

/// Checks the headers of a request that decide who may send it, before anything else looks at them, and answers preflight
/// requests of pages of allowed origins.
#[derive(Clone)]
pub(crate) struct CheckOrigin(pub(crate) Arc<Middleware>);

impl ValidateRequest<Body> for CheckOrigin {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request) -> Result<(), Response> {
        let mut checked = single_headers::check(request);
        if self.0.authenticator.is_open() {
            checked = checked.and_then(|()| self.0.browsers.check(request));
        }
        checked.map_err(|error| ApiError::from(error).into_response())?;
        let context = request.extensions().get::<RequestContext>();
        let is_preflight = context.is_some_and(|context| context.allowed_origin.is_some())
            && request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight { Err(preflight_response(request.headers())) } else { Ok(()) }
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

/// Adds to a response which pages may read it, and that it is what its type says. `has_origins`: whether the settings allow any
/// origin.
pub(crate) fn protect(headers: &mut HeaderMap, allowed_origin: Option<HeaderValue>, has_origins: bool) {
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
