//! Server-sent events as a response.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;

use agentcafe_domain::kernel::{error::DomainError, ids::Sequence};

use crate::stream::{FrameSource, pieces};

/// The response that streams what a session says until it ends, or the client goes.
pub fn response(session: impl FrameSource) -> Response {
    let body = Body::from_stream(pieces(session).map(Ok::<_, Infallible>));
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Tells reverse proxies (nginx) to pass frames on as they come.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Where a client that reconnects by itself was.
///
/// # Errors
/// What it says is no sequence.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<Sequence>, DomainError> {
    let text = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::trim);
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let invalid =
        || DomainError::invalid("last-event-id", "Last-Event-ID must be a sequence").with("value", text);
    text.parse().map(|sequence| Some(Sequence(sequence))).map_err(|_| invalid())
}
