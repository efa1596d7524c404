//! An [`OperationError`] as an HTTP response: the only place that knows which status a code has.

use agentcafe_domain::kernel::{Code, OperationError};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error response. Its body names the request id, so the outermost layer renders it.
#[derive(Clone, Debug)]
pub struct ApiError(pub OperationError);

impl ApiError {
    /// As [`OperationError::unavailable`].
    pub fn unavailable(message: &str) -> Self {
        Self(OperationError::unavailable(message))
    }

    /// As [`OperationError::internal`].
    pub fn internal() -> Self {
        Self(OperationError::internal())
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
        Code::IdempotencyKeyConflict | Code::Conflict => StatusCode::CONFLICT,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::OperatorOverrideBlocked => StatusCode::LOCKED,
        Code::RateLimited | Code::ModerationBlocked => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
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
