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

/// The status in the health document.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusFields {
    /// The stored cursor.
    pub(crate) cursor: Sequence,
    /// The highest sequence that the log is known to have.
    pub(crate) head: Sequence,
    /// How many rooms have read models.
    pub(crate) rooms: u64,
    /// How many events were projected since the start.
    pub(crate) events: u64,
    /// How many events could not be read since the start.
    pub(crate) unreadable_events: u64,
    /// How often the read models were rebuilt since the start.
    pub(crate) rebuilds: u64,
    /// Whether another projector is active and this one waits.
    pub(crate) standby: bool,
    pub(crate) written_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) source: SourceStatus,
}

/// The connection to the event source.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceStatus {
    pub(crate) connected: bool,
    reconnects: u64,
    last_error: Option<String>,
}

impl StatusFields {
    /// The event source is connected, and its log ends at `head`.
    pub(crate) fn connected(&mut self, head: Sequence) {
        self.source.connected = true;
        self.head = head;
    }

    /// The event source is not connected. Logs the error, unless it is the same as before.
    pub(crate) fn disconnected(&mut self, why: String) {
        if self.source.connected || self.source.last_error.as_ref() != Some(&why) {
            tracing::warn!(%why, "the event source is not connected");
        }
        let reconnects = self.source.reconnects + 1;
        self.source = SourceStatus { connected: false, reconnects, last_error: Some(why) };
    }
}

/// The health document.
#[derive(Serialize)]
pub(crate) struct Health {
    ok: bool,
    service: &'static str,
    time: Timestamp,
    #[serde(flatten)]
    status: StatusFields,
    redis: RedisHealth,
    source: SourceHealth,
}

#[derive(Serialize)]
struct RedisHealth {
    enabled: bool,
    #[serde(flatten)]
    connection: ConnectionStatus,
}

#[derive(Serialize)]
struct SourceHealth {
    url: String,
    #[serde(flatten)]
    status: SourceStatus,
}

impl Status {
    pub(crate) fn change(&self, change: impl FnOnce(&mut StatusFields)) {
        change(&mut self.0.lock());
    }

    pub(crate) fn health(&self, redis: Option<ConnectionStatus>, source: &str, time: Timestamp) -> Health {
        let mut status = self.0.lock().clone();
        status.head = status.head.max(status.cursor);
        let redis = RedisHealth { enabled: redis.is_some(), connection: redis.unwrap_or_default() };
        let is_fed = status.source.connected || status.standby;
        Health {
            ok: is_fed && (redis.connection.is_serving() || !redis.enabled),
            service: "agentcafe-projector",
            time,
            redis,
            source: SourceHealth { url: source.to_owned(), status: status.source.clone() },
            status,
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
