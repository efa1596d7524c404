//! An [`OperationError`] as an HTTP response: the status of its code, and the envelope in the body.

use std::panic::AssertUnwindSafe;

use agentcafe_domain::kernel::{Code, CorrelationId, DomainError, OperationError};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::answer;
use crate::observe::REQUEST_ID;
use crate::sse;

/// An error response. Its body names the request id, so the middleware renders it ([`render`]).
#[derive(Clone, Debug)]
pub struct ApiError(pub OperationError);

impl ApiError {
    /// As [`OperationError::unavailable`].
    pub fn unavailable(message: &str) -> Self {
        Self(OperationError::unavailable(message))
    }

    /// The status of the error's code.
    pub fn status(&self) -> StatusCode {
        status_of(self.0.error.code)
    }
}

/// The HTTP status of a code.
pub const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Validation
        | Code::MissingField
        | Code::InvalidEnum
        | Code::InvalidDirection
        | Code::InvalidUrl
        | Code::InvalidColor
        | Code::UnknownTable
        | Code::OutOfBounds
        | Code::IdempotencyKeyRequired => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        Code::Forbidden | Code::PlanFeatureDisabled => StatusCode::FORBIDDEN,
        Code::NotFound | Code::UnsupportedAction => StatusCode::NOT_FOUND,
        Code::IdempotencyKeyConflict | Code::Conflict | Code::CursorAhead => StatusCode::CONFLICT,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::OperatorOverrideBlocked => StatusCode::LOCKED,
        Code::RateLimited | Code::ModerationBlocked => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl<E: Into<OperationError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.error.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct ErrorEnvelope<'a> {
    ok: bool,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    details: &'a Map<String, Value>,
    request_id: &'a str,
}

/// Renders the envelope of an [`ApiError`] into its response, which so far has a status and headers. An `EventSource` gets a
/// temporary error as an event. Other responses stay as they are.
pub(crate) fn render(mut response: Response, request_id: &str, is_from_event_source: bool) -> Response {
    let Some(ApiError(error)) = response.extensions_mut().remove() else { return response };
    let DomainError { code, message, mut details } = error.error;
    if let Some(correlation_id) = &error.correlation_id {
        details.insert("correlationId".to_owned(), correlation_id.as_str().into());
    }
    let body = ErrorBody { code: code.as_str(), message: &message, details: &details, request_id };
    let mut rendered = match error.retry_after_seconds.filter(|_| is_from_event_source) {
        Some(seconds) => sse::error(&body, seconds),
        None => {
            let body = ErrorEnvelope { ok: false, error: body };
            answer::json(status_of(code), serde_json::to_vec(&body).expect("details have text keys"))
        }
    };
    let headers = rendered.headers_mut();
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH {
            headers.insert(name, value.clone());
        }
    }
    let in_details = || CorrelationId::parse(details.get("correlationId")?.as_str()?).ok();
    let correlation_id = error.correlation_id.or_else(in_details);
    answer::insert_id(headers, answer::CORRELATION_ID, correlation_id.as_ref());
    rendered
}

/// What `ERR_UNAVAILABLE` looks like outside of the middleware; `replaced` is the response that it is sent instead of.
pub(crate) fn unavailable_instead(
    replaced: &Response,
    message: &str,
    is_from_event_source: bool,
) -> Response {
    let id = replaced.headers().get(REQUEST_ID);
    let mut response = render(
        ApiError::unavailable(message).into_response(),
        id.and_then(|id| id.to_str().ok()).unwrap_or_default(),
        is_from_event_source,
    );
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response
}

/// The response of a handler; an internal error if it panics, which the process's panic hook has logged.
pub(crate) async fn catch_panic<E>(
    response: impl Future<Output = Result<Response, E>>,
) -> Result<Response, E> {
    let caught = AssertUnwindSafe(response).catch_unwind().await;
    caught.unwrap_or_else(|_| Ok(ApiError(OperationError::internal()).into_response()))
}
