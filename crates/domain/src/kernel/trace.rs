//! Action traces: the steps of a request and its result, found by the correlation id.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::kernel::error::Code;
use crate::kernel::ids::{ActorId, CorrelationId, RoomId, TenantId};
use crate::kernel::time::Timestamp;

/// How many steps a trace shows at most; the newest are kept.
pub const MAX_STEPS: usize = 80;

macro_rules! step_codes {
    ($($variant:ident $text:literal,)*) => {
        /// The code of a step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum StepCode {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant,)*
        }

        impl JsonSchema for StepCode {
            fn schema_name() -> Cow<'static, str> {
                "StepCode".into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "enum": [$($text),*] })
            }
        }
    };
}

step_codes! {
    RequestReceived "RC_REQUEST_RECEIVED",
    IdempotencyNew "RC_IDEMPOTENCY_NEW",
    IdempotencyReplay "RC_IDEMPOTENCY_REPLAY",
    IdempotencyConflict "RC_IDEMPOTENCY_CONFLICT",
    EventAppendOk "RC_EVENT_APPEND_OK",
    SnapshotCreated "RC_SNAPSHOT_CREATED",
    IntentPlanned "RC_INTENT_PLANNED",
    IntentExecuted "RC_INTENT_EXECUTED",
    OperatorOverrideBlocked "RC_OPERATOR_OVERRIDE_BLOCKED",
    ModerationBlocked "RC_MODERATION_BLOCKED",
    ValidationError "RC_VALIDATION_ERROR",
    Forbidden "RC_FORBIDDEN",
    PaymentRequired "RC_PAYMENT_REQUIRED",
    PlanFeatureDisabled "RC_PLAN_FEATURE_DISABLED",
    NotFound "RC_NOT_FOUND",
    UnsupportedAction "RC_UNSUPPORTED_ACTION",
    Conflict "RC_CONFLICT",
    InternalError "RC_INTERNAL_ERROR",
}

impl StepCode {
    /// The step that an error adds to the trace.
    pub const fn of_error(code: Code) -> Self {
        match code {
            Code::OperatorOverrideBlocked => Self::OperatorOverrideBlocked,
            Code::ModerationBlocked => Self::ModerationBlocked,
            Code::Forbidden | Code::Unauthorized => Self::Forbidden,
            Code::PaymentRequired => Self::PaymentRequired,
            Code::PlanFeatureDisabled => Self::PlanFeatureDisabled,
            Code::NotFound => Self::NotFound,
            Code::UnsupportedAction => Self::UnsupportedAction,
            Code::IdempotencyKeyConflict => Self::IdempotencyConflict,
            Code::Conflict | Code::CursorAhead => Self::Conflict,
            Code::Internal | Code::DataLoss | Code::Unavailable | Code::RateLimited => Self::InternalError,
            Code::Validation
            | Code::MissingField
            | Code::InvalidEnum
            | Code::InvalidDirection
            | Code::InvalidUrl
            | Code::InvalidColor
            | Code::UnknownTable
            | Code::OutOfBounds
            | Code::IdempotencyKeyRequired
            | Code::PayloadTooLarge => Self::ValidationError,
        }
    }
}

/// One step of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When.
    pub ts: Timestamp,
    /// What.
    pub code: StepCode,
    /// More about it.
    pub details: Value,
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TraceStatus")]
pub enum Status {
    /// It was done, or replayed.
    Success,
    /// It was refused, or failed.
    Error,
}

/// The trace of a request. Attempts that share a correlation id are shown as one, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The attempt.
    pub trace_id: Uuid,
    /// What it is found by.
    pub correlation_id: CorrelationId,
    /// The `x-request-id`.
    pub request_id: String,
    /// The route's path.
    pub route: String,
    /// The HTTP method.
    pub method: String,
    /// The requester.
    pub actor_id: Option<ActorId>,
    /// In which tenant.
    pub tenant_id: Option<TenantId>,
    /// In which room.
    pub room_id: Option<RoomId>,
    /// How it ended.
    pub status: Status,
    /// When it arrived.
    pub started_at: Timestamp,
    /// When it was answered.
    pub ended_at: Option<Timestamp>,
    /// What happened, oldest first; at most [`MAX_STEPS`], the newest.
    pub steps: Vec<Step>,
}
