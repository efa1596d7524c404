//! The error catalogue, the error that a rule decides, and the error that an operation returns to its caller.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::ids::CorrelationId;

/// How much of a value a detail repeats, in bytes.
pub const MAX_DETAIL_BYTES: usize = 1_024;

macro_rules! catalogue {
    ($($variant:ident $text:literal $message:literal;)*) => {
        /// Every error code a client can get. The HTTP status of each is in `http` (`status_of`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum Code {
            $(#[doc = $message] #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// The whole catalogue, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as the wire shows it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The default message.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
        }
    };
}

catalogue! {
    Validation "ERR_VALIDATION" "Validation failed";
    MissingField "ERR_MISSING_FIELD" "Required field missing";
    InvalidEnum "ERR_INVALID_ENUM" "Invalid enum value";
    InvalidDirection "ERR_INVALID_DIRECTION" "Invalid direction";
    InvalidUrl "ERR_INVALID_URL" "Invalid URL";
    InvalidColor "ERR_INVALID_COLOR" "Invalid color value";
    UnknownTable "ERR_UNKNOWN_TABLE" "Unknown table id";
    OutOfBounds "ERR_OUT_OF_BOUNDS" "Value out of bounds";
    IdempotencyKeyRequired "ERR_IDEMPOTENCY_KEY_REQUIRED" "Mutations need an Idempotency-Key header";
    Unauthorized "ERR_FORBIDDEN" "No key or token was sent, or it is not accepted: unknown, revoked, expired, or not for this AUTH_MODE";
    PaymentRequired "ERR_PAYMENT_REQUIRED" "Payment required";
    Forbidden "ERR_FORBIDDEN" "Forbidden";
    PlanFeatureDisabled "ERR_PLAN_FEATURE_DISABLED" "Plan feature disabled";
    NotFound "ERR_NOT_FOUND" "Resource not found";
    UnsupportedAction "ERR_UNSUPPORTED_ACTION" "Unsupported action";
    IdempotencyKeyConflict "ERR_IDEMPOTENCY_KEY_CONFLICT" "The key was already used with another payload";
    Conflict "ERR_CONFLICT" "The current state does not allow this";
    CursorAhead "ERR_CURSOR_AHEAD" "The cursor is not of this log";
    PayloadTooLarge "ERR_PAYLOAD_TOO_LARGE" "The body is too large";
    OperatorOverrideBlocked "ERR_OPERATOR_OVERRIDE_BLOCKED" "Blocked by operator override";
    RateLimited "ERR_RATE_LIMITED" "Rate limit exceeded";
    ModerationBlocked "ERR_MODERATION_BLOCKED" "Moderation policy blocked action";
    Internal "ERR_INTERNAL" "Something went wrong on our side";
    DataLoss "ERR_DATA_LOSS" "What is stored is damaged";
    Unavailable "ERR_UNAVAILABLE" "Not available right now; try again";
}

/// The error of a rule: its code, and the details that a client may branch on.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainError {
    /// The catalogue's code.
    pub code: Code,
    /// For people; informative only.
    pub message: String,
    /// For programs; the documentation of errors lists the keys of each code.
    pub details: Map<String, Value>,
}

impl DomainError {
    /// An error with the catalogue's message and no details yet.
    pub fn new(code: Code) -> Self {
        Self { code, message: code.message().to_owned(), details: Map::new() }
    }

    /// The same error with another message.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), shortened(value.into()));
        self
    }

    /// A validation error of `field`.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::Validation).saying(message).with("field", field)
    }

    /// The value of `field` is out of its bounds.
    pub fn out_of_bounds(field: &str, message: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(Code::OutOfBounds).saying(message).with("field", field).with("value", value)
    }

    /// The error of a member of an object, with the path to it as its field.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        if let Some(Value::String(field)) = self.details.get_mut("field") {
            *field = format!("{path}.{field}");
        }
        self
    }

    /// `field` is missing, or not of the type that a required field has.
    pub fn missing(field: &str) -> Self {
        Self::new(Code::MissingField).saying(format!("{field} is required.")).with("field", field)
    }
}

/// Details are kept in traces: a value that a client sent is not repeated at length.
fn shortened(value: Value) -> Value {
    let text = match &value {
        Value::Null | Value::Bool(_) | Value::Number(_) => return value,
        Value::String(text) if text.len() <= MAX_DETAIL_BYTES => return value,
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.len() <= MAX_DETAIL_BYTES {
        return value;
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_DETAIL_BYTES)]).into()
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for DomainError {}

/// How long a caller should wait before it tries again when the store cannot do its work, in seconds.
const UNAVAILABLE_RETRY_SECONDS: i64 = 1;

/// Why an operation failed, for its caller, whichever transport the caller uses.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationError {
    /// The code, the message and the details.
    pub error: DomainError,
    /// The correlation id of the request, if it got as far as having one.
    pub correlation_id: Option<CorrelationId>,
    /// After how many seconds a retry may succeed, if one may.
    pub retry_after_seconds: Option<i64>,
}

impl OperationError {
    /// The store, or a queue in front of it, cannot take the request right now; a retry may succeed.
    pub fn unavailable(message: &str) -> Self {
        let retry_after_seconds = Some(UNAVAILABLE_RETRY_SECONDS);
        Self { retry_after_seconds, ..DomainError::new(Code::Unavailable).saying(message).into() }
    }

    /// A defect of the server. The cause is logged and never shown to the caller.
    pub fn internal() -> Self {
        DomainError::new(Code::Internal).into()
    }
}

/// A `retryAfterMs` detail becomes [`OperationError::retry_after_seconds`].
impl From<DomainError> for OperationError {
    fn from(error: DomainError) -> Self {
        let retry_after_ms = error.details.get("retryAfterMs").and_then(Value::as_i64);
        let retry_after_seconds = retry_after_ms.map(|ms| ms.div_euclid(1_000) + 1);
        Self { error, correlation_id: None, retry_after_seconds }
    }
}
