//! Server-sent events as an HTTP response.

use std::convert::Infallible;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::LastEventId;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// The response that streams frames until they end or the client disconnects.
pub fn response(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(frames.map(Ok::<_, Infallible>));
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    // Proxies must not compress the stream, which would hold frames back, and (nginx) not buffer it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Whether a response streams frames.
pub(crate) fn is_event_stream(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE) == Some(&EVENT_STREAM)
}

/// `Last-Event-ID`, which an `EventSource` sends when it reconnects. A foreign one is no error: any status but 200 would end the
/// `EventSource` for good.
pub fn last_event_id(headers: &HeaderMap) -> LastEventId {
    let Some(id) = headers.get("last-event-id") else { return LastEventId::Missing };
    match id.to_str().map(str::trim) {
        Ok("") => LastEventId::Missing,
        Ok(id) => id.parse().map_or(LastEventId::Foreign, |id| LastEventId::Sequence(Sequence(id))),
        Err(_) => LastEventId::Foreign,
    }
}
