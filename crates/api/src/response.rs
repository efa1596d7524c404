//! Renders the output of operations as responses.

use agentcafe_domain::kernel::Success;
use agentcafe_engine::Executed;
use agentcafe_http::answer::{CORRELATION_ID, enveloped, insert_id};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

const REPLAY_CORRELATION_ID: HeaderName = HeaderName::from_static("x-replay-correlation-id");
const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("x-idempotent-replay");

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
