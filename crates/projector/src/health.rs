//! The health endpoints of the projector.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Projector, Report};

/// Serves `/healthz` (how it stands), `/readyz` (503 unless it projects) and `/livez`, until `stopping`.
pub async fn serve(listener: TcpListener, projector: Arc<Projector>, stopping: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/livez", get(async || "ok"))
        .with_state(projector);
    let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the health endpoints ended");
    }
}

async fn health(State(projector): State<Arc<Projector>>) -> Response {
    answer(StatusCode::OK, &projector.report())
}

async fn ready(State(projector): State<Arc<Projector>>) -> Response {
    let report = projector.report();
    answer(if report.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
}

fn answer(status: StatusCode, report: &Report) -> Response {
    let json = serde_json::to_string(report).expect("a report has text keys and no floats");
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}
