//! Request ids: a client's own if it can be used, else a new one.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use tower_http::request_id::{MakeRequestId, RequestId};
use uuid::Uuid;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is accepted from a client, in bytes.
const MAX_BYTES: usize = 128;

/// Makes new request ids.
#[derive(Clone)]
pub struct RequestIdSource(Arc<dyn Fn() -> Uuid + Send + Sync>);

impl RequestIdSource {
    /// A source that draws its ids from a function.
    pub fn new(fresh_id: impl Fn() -> Uuid + Send + Sync + 'static) -> Self {
        Self(Arc::new(fresh_id))
    }
}

impl MakeRequestId for RequestIdSource {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::try_from((self.0)().to_string()).ok().map(RequestId::new)
    }
}

/// Removes a client's request id that is blank, too long or not ASCII, so that a new one takes its place.
pub(crate) fn discard_unusable(mut request: Request) -> Request {
    let is_usable = |id: &str| !id.trim().is_empty() && id.len() <= MAX_BYTES;
    let given = request.headers().get(REQUEST_ID);
    if given.is_some_and(|id| !id.to_str().is_ok_and(is_usable)) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// The id of a request; empty outside of the middleware.
pub fn request_id(extensions: &Extensions) -> String {
    let id = extensions.get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    id.unwrap_or_default().to_owned()
}
