//! Server-sent events as an HTTP response.

use std::convert::Infallible;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::LastEventId;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::frames::StreamProtocol;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The longest pause of an `EventSource` after an error, in seconds: it keeps the pause for later disconnections.
const MAX_RETRY_SECONDS: i64 = 5;

/// The response that streams frames until they end or the client disconnects.
pub fn response(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    event_stream(Body::from_stream(frames.map(Ok::<_, Infallible>)))
}

/// Whether a browser sends the request, for an `EventSource`.
pub(crate) fn is_from_event_source(request: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| value.as_bytes().starts_with(EVENT_STREAM.as_bytes());
    request.contains_key(SEC_FETCH_MODE) && request.get(header::ACCEPT).is_some_and(accepts)
}

/// The response with an error after which an `EventSource` comes back: any status but 200 would end it for good.
pub(crate) fn error(error: &impl Serialize, retry_after_seconds: i64) -> Response {
    let retry_ms = retry_after_seconds.min(MAX_RETRY_SECONDS) * 1_000;
    let frame = StreamProtocol::EventStream.control("error", &serde_json::json!(error));
    event_stream(Body::from([format!("retry: {retry_ms}\n").as_bytes(), &frame].concat()))
}

fn event_stream(body: Body) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    // Proxies must not compress the stream, which would hold frames back, and (nginx) not buffer it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Whether a response streams frames, without an end that is known.
pub(crate) fn is_event_stream(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE) == Some(&EVENT_STREAM)
        && response.body().size_hint().exact().is_none()
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
