//! Health, liveness, readiness and metrics: the routes for operators and their tools.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError};
use agentcafe_http::ApiError;
use agentcafe_http::answer::{enveloped, json};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::to_vec;

use crate::app::App;

/// `GET /healthz`: the one success without `data`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let document = to_vec(&app.service.health()).expect("an answer has text keys and finite numbers");
    json(StatusCode::OK, document)
}

/// `GET /livez`: the process is up.
pub(crate) async fn live() -> Response {
    enveloped(StatusCode::OK, br#"{"live":true}"#)
}

/// `GET /readyz`: the store takes writes, and no follower is stuck.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.service.check_readiness().await?;
    Ok(enveloped(StatusCode::OK, br#"{"ready":true}"#))
}

/// `GET /metrics`: the page that Prometheus reads.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    const TYPE: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let mut response = app.service.engine().metrics_page().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
    response
}

/// `GET /v1/traces/`: looks up the empty id.
pub(crate) async fn trace_without_id() -> ApiError {
    DomainError::new(Code::NotFound).with("correlationId", "").into()
}
