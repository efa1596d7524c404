//! What is answered when something is not done: the only place that knows which status a code has.

use agentcafe_domain::kernel::{
    error::{Code, DomainError},
    ids::CorrelationId,
};
use agentcafe_engine::NotExecuted;
use agentcafe_store::{Failure, ReadError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// How long a client should wait when the store cannot do its work, in seconds.
const RETRY_AFTER_SECONDS: i64 = 1;

/// An answer that is no success. The front door renders it, because the body names the request id.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// What is refused, and why.
    pub error: DomainError,
    /// Ties it to what else the request caused.
    pub correlation_id: Option<CorrelationId>,
    /// When it may help to come back.
    pub retry_after_seconds: Option<i64>,
}

impl ApiError {
    /// The store, or a queue before it, cannot do its work right now.
    pub fn unavailable(message: &str) -> Self {
        let error = DomainError::new(Code::Unavailable).saying(message);
        Self { error, correlation_id: None, retry_after_seconds: Some(RETRY_AFTER_SECONDS) }
    }

    /// A fault of ours. What it was stands in the log, not here.
    pub fn internal() -> Self {
        DomainError::new(Code::Internal).into()
    }

    /// The status of the refusal's code.
    pub fn status(&self) -> StatusCode {
        status_of(self.error.code)
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

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        let retry_after_ms = error.details.get("retryAfterMs").and_then(serde_json::Value::as_i64);
        let retry_after_seconds = retry_after_ms.map(|ms| ms.div_euclid(1_000) + 1);
        Self { error, correlation_id: None, retry_after_seconds }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::unavailable(&error.to_string())
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error.into(),
            // An errand is run before anything is answered.
            Failure::Internal(_) | Failure::External(_) => Self::internal(),
            Failure::Unavailable(message) => Self::unavailable(message),
        }
    }
}

impl From<NotExecuted> for ApiError {
    fn from(not_executed: NotExecuted) -> Self {
        let correlation_id = Some(not_executed.correlation_id);
        Self { correlation_id, ..not_executed.failure.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.error.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULINGS B11: a fault of ours is 500 `ERR_INTERNAL` with a general message and no details; what it was stands in the log. That a
    /// panic in a rule becomes such a fault, and costs nobody else anything, the suite of the store proves (`faults`).
    #[test]
    fn a_fault_of_ours_says_nothing_of_itself() {
        let error = ApiError::from(Failure::Internal("no such table: secrets at /var/lib/agentcafe"));
        assert_eq!((error.status().as_u16(), error.error.code.as_str()), (500, "ERR_INTERNAL"));
        assert_eq!(error.error.message, Code::Internal.message());
        assert!(error.error.details.is_empty() && error.retry_after_seconds.is_none());
    }
}
