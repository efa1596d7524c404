//! Renders the output of operations as responses.

use std::collections::VecDeque;

use agentcafe_domain::kernel::Success;
use agentcafe_engine::Executed;
use agentcafe_http::answer::{CORRELATION_ID, enveloped, insert_id, json};
use agentcafe_http::parts::Parts;
use agentcafe_service::EventList;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use serde::Serialize;

const REPLAY_CORRELATION_ID: HeaderName = HeaderName::from_static("x-replay-correlation-id");
const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("x-idempotent-replay");

/// Larger events are sent as the bytes that the log keeps, smaller ones are copied together.
const MAX_COPIED_BYTES: usize = 16 << 10;

/// A list of events under `name`, before the members beside it.
pub(crate) fn events(name: &str, list: &EventList<impl Serialize>) -> Response {
    let rest = serde_json::to_vec(&list.rest).expect("an answer has text keys and finite numbers");
    let sizes = list.events.iter().map(|event| event.json.len() + 1);
    let copied: usize = sizes.filter(|bytes| *bytes <= MAX_COPIED_BYTES).sum();
    let mut copies = BytesMut::with_capacity(copied + rest.len() + name.len() + 32);
    let mut parts = VecDeque::new();
    copies.put_slice(br#"{"ok":true,"data":{""#);
    copies.put_slice(name.as_bytes());
    copies.put_slice(br#"":["#);
    for (at, event) in list.events.iter().enumerate() {
        if at > 0 {
            copies.put_u8(b',');
        }
        if event.json.len() < MAX_COPIED_BYTES {
            copies.put_slice(&event.json);
        } else {
            parts.extend([copies.split().freeze(), event.json.clone()]);
        }
    }
    copies.put_slice(b"],");
    copies.put_slice(&rest[1..]);
    copies.put_u8(b'}');
    parts.push_back(copies.freeze());
    json(StatusCode::OK, Parts::body(parts))
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
