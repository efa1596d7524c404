//! An example of every error.

use agentcafe_domain::kernel::{Code, DomainError};
use serde_json::{Map, Value, json};

use agentcafe_http::error::status_of;

/// The name of a code's example: two statuses share a code.
pub(super) fn name_of(code: Code) -> String {
    format!("{}_{}", status_of(code).as_u16(), code.as_str())
}

/// An example of each error, by name.
pub(super) fn errors() -> Map<String, Value> {
    Code::ALL.iter().map(|code| (name_of(*code), error(*code))).collect()
}

fn error(code: Code) -> Value {
    let error = sample(code);
    json!({
        "summary": code.message(),
        "value": {
            "ok": false,
            "error": {
                "code": code.as_str(),
                "message": error.message,
                "details": error.details,
                "requestId": "0190b5a0-0000-7000-8000-00000000000a",
            },
        },
    })
}

/// An error with this code and the details that it may have.
fn sample(code: Code) -> DomainError {
    let bare = DomainError::new(code);
    match code {
        Code::Validation => DomainError::invalid("metadata", "metadata must be an object"),
        Code::MissingField => DomainError::missing("actorId"),
        Code::InvalidEnum => {
            bare.with("field", "status").with("allowed", json!(["thinking", "idle", "busy", "inactive"]))
        }
        Code::InvalidDirection => {
            bare.with("field", "direction").with("allowed", json!(["N", "S", "E", "W"]))
        }
        Code::InvalidUrl => bare.with("field", "targetUrl").with("value", "ftp://example.com"),
        Code::InvalidColor => bare.with("field", "theme.bubbleColor").with("value", "blueish"),
        Code::UnknownTable => bare.with("tableId", "table_99"),
        Code::OutOfBounds => bare.with("field", "x").with("min", 0).with("max", 19).with("value", 20),
        Code::Unauthorized => bare.with("auth", json!({ "header": "x-api-key", "query": "apiKey" })),
        Code::UnsupportedAction => bare.with("method", "PUT").with("path", "/v1/inbox"),
        Code::IdempotencyKeyConflict => {
            bare.with("scope", "main:Nova:/v1/commands/say").with("idempotencyKey", "say-1")
        }
        Code::CursorAhead => bare.with("head", 40).with("logId", "8f1c0c4e5a7b4d0c9b5e6a2f1d3c4b5a-9e107d9d"),
        Code::DataLoss => bare.with("fromCursor", 41).with("toCursor", 42),
        Code::PayloadTooLarge => bare.with("maxBytes", 1_048_576),
        Code::PaymentRequired | Code::Forbidden | Code::PlanFeatureDisabled => about_nova(bare),
        Code::OperatorOverrideBlocked => about_nova(bare).with("reasonCode", "ROOM_PAUSED"),
        Code::RateLimited => {
            bare.with("limit", 120).with("resetEpochSeconds", 1_767_225_660).with("retryAfterMs", 12_345)
        }
        Code::ModerationBlocked => {
            about_nova(bare).with("reasonCode", "MOD_REPEAT_TEXT").with("retryAfterMs", 2_000)
        }
        _ => bare,
    }
}

fn about_nova(error: DomainError) -> DomainError {
    error.with("tenantId", "default").with("roomId", "main").with("actorId", "Nova").with("action", "say")
}
