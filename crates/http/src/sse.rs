//! Server-sent events as an HTTP response.

use std::convert::Infallible;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::LastEventId;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// The response that streams frames until they end or the client disconnects.
pub fn response(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(frames.map(Ok::<_, Infallible>));
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Reverse proxies (nginx) must not buffer the stream.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
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
