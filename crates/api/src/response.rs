//! Renders the output of operations as responses.

use agentcafe_domain::kernel::Success;
use agentcafe_engine::Executed;
use agentcafe_http::answer::{CORRELATION_ID, enveloped, insert_id, json};
use agentcafe_service::EventList;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use serde::Serialize;

const REPLAY_CORRELATION_ID: HeaderName = HeaderName::from_static("x-replay-correlation-id");
const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("x-idempotent-replay");

/// A list of events under `name`, the bytes that the log keeps, before the members beside it.
pub(crate) fn events(name: &str, list: &EventList<impl Serialize>) -> Response {
    let rest = serde_json::to_vec(&list.rest).expect("an answer has text keys and finite numbers");
    let size: usize = list.events.iter().map(|event| event.json.len() + 1).sum();
    let mut body = BytesMut::with_capacity(size + rest.len() + name.len() + 32);
    body.put_slice(br#"{"ok":true,"data":{""#);
    body.put_slice(name.as_bytes());
    body.put_slice(br#"":["#);
    for (at, event) in list.events.iter().enumerate() {
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

/// The response to a mutation.
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
