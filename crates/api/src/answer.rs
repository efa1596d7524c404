//! What is answered when something is done: the success envelope, around data that is rendered already.

use agentcafe_domain::{command::Success, ids::CorrelationId};
use agentcafe_engine::Executed;
use agentcafe_store::LoggedEvent;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const REPLAY_CORRELATION_ID: HeaderName = HeaderName::from_static("x-replay-correlation-id");
const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("x-idempotent-replay");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An id as a header's value; none if it has characters that a header cannot carry.
pub(crate) fn id_value(id: &CorrelationId) -> Option<HeaderValue> {
    HeaderValue::from_str(id.as_str()).ok()
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = (status, Body::from(body.into())).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// `{"ok":true,"data":…}` around rendered data.
pub(crate) fn enveloped(status: StatusCode, data: &[u8]) -> Response {
    const BEFORE: &[u8] = br#"{"ok":true,"data":"#;
    let mut body = BytesMut::with_capacity(BEFORE.len() + data.len() + 1);
    body.put_slice(BEFORE);
    body.put_slice(data);
    body.put_u8(b'}');
    json(status, body.freeze())
}

/// A read's answer.
pub(crate) fn found(data: &impl Serialize) -> Response {
    let data = serde_json::to_vec(data).expect("an answer has text keys and finite numbers");
    enveloped(StatusCode::OK, &data)
}

/// A read's answer that lists events under `name`, the bytes that the log keeps, before the other members of `rest`.
pub(crate) fn events(name: &str, events: &[LoggedEvent], rest: &impl Serialize) -> Response {
    let rest = serde_json::to_vec(rest).expect("an answer has text keys and finite numbers");
    let size: usize = events.iter().map(|event| event.json.len() + 1).sum();
    let mut body = BytesMut::with_capacity(size + rest.len() + name.len() + 32);
    body.put_slice(br#"{"ok":true,"data":{""#);
    body.put_slice(name.as_bytes());
    body.put_slice(br#"":["#);
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        body.put_slice(&event.json);
    }
    body.put_slice(b"],");
    body.put_slice(&rest[1..]);
    body.put_u8(b'}');
    json(StatusCode::OK, body.freeze())
}

const fn status_of(success: Success) -> StatusCode {
    match success {
        Success::Ok => StatusCode::OK,
        Success::Created => StatusCode::CREATED,
        Success::Accepted => StatusCode::ACCEPTED,
    }
}

/// A mutation's answer.
pub(crate) fn executed(executed: &Executed) -> Response {
    let mut response = enveloped(status_of(executed.reply.success), &executed.reply.data);
    let headers = response.headers_mut();
    insert_id(headers, CORRELATION_ID, Some(&executed.correlation_id));
    insert_id(headers, REPLAY_CORRELATION_ID, executed.replayed_as.as_ref());
    if executed.replayed {
        headers.insert(IDEMPOTENT_REPLAY, HeaderValue::from_static("true"));
    }
    response
}

/// Adds an id to the headers, if there is one and a header can carry it.
pub(crate) fn insert_id(headers: &mut HeaderMap, name: HeaderName, id: Option<&CorrelationId>) {
    if let Some(value) = id.and_then(id_value) {
        headers.insert(name, value);
    }
}
