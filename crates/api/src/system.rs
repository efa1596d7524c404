//! Health, liveness, readiness and metrics: the routes for operators and their tools.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError};
use agentcafe_http::{ApiError, answer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
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

/// `GET /readyz`: the store takes writes, and no follower is stuck.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.service.check_readiness().await?;
    Ok(answer::flag("ready"))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    answer::metrics(app.service.engine().metrics_page())
}

/// `GET /v1/traces/`: looks up the empty id.
pub(crate) async fn trace_without_id() -> ApiError {
    DomainError::new(Code::NotFound).with("correlationId", "").into()
}
