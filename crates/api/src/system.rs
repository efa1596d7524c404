//! Health, liveness, readiness and metrics: the routes for operators and their tools.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError};
use agentcafe_http::{ApiError, answer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::to_vec;

use crate::app::App;

/// `GET /healthz`: the one success without `data`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let document = to_vec(&app.service.health()).expect("a document has text keys and finite numbers");
    answer::json(StatusCode::OK, document)
}

/// `GET /livez`: the process is up.
pub(crate) async fn live() -> Response {
    answer::flag("live")
}

/// What a server that is ready says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    ready: bool,
    /// How far the wall clock is ahead of the time of the store (behind it, if negative), while it is not plausible.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_ms: Option<i64>,
}

/// `GET /readyz`: the store takes writes, and no follower is stuck.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.service.check_readiness().await?;
    Ok(answer::read(&Ready { ready: true, clock_ahead_ms: app.service.clock_ahead_ms() }))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    answer::metrics(app.service.engine().metrics_page())
}

/// `GET /v1/traces/`: looks up the empty id.
pub(crate) async fn trace_without_id() -> ApiError {
    DomainError::new(Code::NotFound).with("correlationId", "").into()
}
