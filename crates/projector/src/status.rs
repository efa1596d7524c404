//! The status of the projector, and the health endpoints that show it.

use std::sync::Arc;

use agentcafe_domain::kernel::{Sequence, Timestamp};
use agentcafe_redis::ConnectionStatus;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Projector;

/// The status, as the sessions report it.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<StatusFields>);

#[derive(Clone, Debug, Default)]
pub(crate) struct StatusFields {
    pub(crate) cursor: Sequence,
    pub(crate) head: Sequence,
    pub(crate) rooms: u64,
    pub(crate) events: u64,
    pub(crate) unreadable: u64,
    pub(crate) rebuilds: u64,
    pub(crate) is_standby: bool,
    pub(crate) written_at: Option<Timestamp>,
    pub(crate) source_connected: bool,
    pub(crate) reconnects: u64,
    pub(crate) source_error: Option<String>,
}

/// The health document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    ok: bool,
    service: &'static str,
    time: Timestamp,
    /// The stored cursor.
    cursor: Sequence,
    /// The highest sequence that the log is known to have.
    head: Sequence,
    /// How many rooms have read models.
    rooms: u64,
    /// How many events were projected since the start.
    events: u64,
    /// How many events could not be read since the start.
    unreadable_events: u64,
    /// How often the read models were rebuilt since the start.
    rebuilds: u64,
    /// Whether another projector is active and this one waits.
    standby: bool,
    written_at: Option<Timestamp>,
    redis: RedisHealth,
    source: SourceHealth,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedisHealth {
    enabled: bool,
    connected: bool,
    failures: u64,
    last_error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceHealth {
    url: String,
    connected: bool,
    reconnects: u64,
    last_error: Option<String>,
}

impl Status {
    pub(crate) fn change(&self, change: impl FnOnce(&mut StatusFields)) {
        change(&mut self.0.lock());
    }

    pub(crate) fn health(&self, redis: Option<ConnectionStatus>, source: &str, time: Timestamp) -> Health {
        let state = self.0.lock().clone();
        let enabled = redis.is_some();
        let ConnectionStatus { connected, failures, last_error } = redis.unwrap_or_default();
        let is_fed = state.source_connected || state.is_standby;
        Health {
            ok: is_fed && (connected || !enabled),
            service: "agentcafe-projector",
            time,
            cursor: state.cursor,
            head: state.head.max(state.cursor),
            rooms: state.rooms,
            events: state.events,
            unreadable_events: state.unreadable,
            rebuilds: state.rebuilds,
            standby: state.is_standby,
            written_at: state.written_at,
            redis: RedisHealth { enabled, connected, failures, last_error },
            source: SourceHealth {
                url: source.to_owned(),
                connected: state.source_connected,
                reconnects: state.reconnects,
                last_error: state.source_error,
            },
        }
    }
}

/// Serves `/healthz` (the health document), `/readyz` (503 unless it is projecting or standing by) and `/livez`, until `stopping`.
pub async fn serve_health(listener: TcpListener, projector: Arc<Projector>, stopping: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/livez", get(async || "ok"))
        .with_state(projector);
    let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the health endpoints ended");
    }
}

async fn healthz(State(projector): State<Arc<Projector>>) -> Response {
    json(StatusCode::OK, &projector.health())
}

async fn readyz(State(projector): State<Arc<Projector>>) -> Response {
    let health = projector.health();
    json(if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &health)
}

fn json(status: StatusCode, health: &Health) -> Response {
    let json = serde_json::to_string(health).expect("a health document has text keys and no floats");
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}
