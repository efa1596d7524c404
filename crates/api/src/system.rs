//! Health, liveness, readiness and metrics: the routes for operators and their tools.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError};
use agentcafe_domain::keys::{Principal, Scope};
use agentcafe_http::{ApiError, answer, may_observe};
use agentcafe_service::system::Health;
use axum::Extension;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::to_vec;

use crate::app::App;

/// The health document: for strangers only that there is one.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum HealthAnswer {
    /// For callers who may observe.
    Whole(Box<Health>),
    /// For others.
    Short {
        /// The process is healthy.
        ok: bool,
    },
}

/// `GET /healthz`: the one success without `data`.
pub(crate) async fn health(State(app): State<Arc<App>>, extensions: Extensions) -> Response {
    let answer = if may_observe(&extensions) {
        HealthAnswer::Whole(Box::new(app.service.health()))
    } else {
        HealthAnswer::Short { ok: true }
    };
    let document = to_vec(&answer).expect("a document has text keys and finite numbers");
    answer::json(StatusCode::OK, document)
}

/// `GET /livez`: the process is up.
pub(crate) async fn live() -> Response {
    answer::flag("live")
}

/// What a server that is ready says.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Readiness")]
pub(crate) struct Ready {
    /// It is.
    ready: bool,
    /// How far the wall clock is ahead of the time of the store (behind it, if negative), while it is not plausible.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_ms: Option<i64>,
}

/// `GET /readyz`: the store takes writes, and no follower is stuck.
pub(crate) async fn ready(State(app): State<Arc<App>>, extensions: Extensions) -> Result<Response, ApiError> {
    match app.service.check_readiness().await {
        Ok(()) => Ok(answer::read(&Ready { ready: true, clock_ahead_ms: app.service.clock_ahead_ms() })),
        Err(error) if may_observe(&extensions) => Err(error.into()),
        // The reasons are not for strangers.
        Err(_) => Err(ApiError::unavailable("not ready")),
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Principal>,
) -> Result<Response, ApiError> {
    caller.check(&[Scope::Observe])?;
    Ok(answer::metrics(app.service.engine().metrics_page()))
}

/// `GET /v1/traces/`: looks up the empty id.
pub(crate) async fn trace_without_id() -> ApiError {
    DomainError::new(Code::NotFound).with("correlationId", "").into()
}
