//! Health, liveness, readiness, metrics and the OpenAPI document: what operators and their tools ask.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    kernel::{ids::Sequence, money::Usd, time::Timestamp},
    moderation::ModerationRules,
    tables::{PrivateTableRules, payment::PaymentMode, plan::Plan},
};
use agentcafe_engine::{
    redis::{ConnectionStatus, Redis},
    webhook_metrics::{DELIVERED, FAILED, RETRIED, WebhookMetrics},
};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    answer,
    app::{App, Settings},
    error::ApiError,
};

/// How long a write of the store's may take until it is called not ready.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The health document.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    ok: bool,
    service: &'static str,
    time: Timestamp,
    storage: Storage,
    inbox_projector: InboxProjector,
    moderation: Moderation,
    webhooks: Webhooks,
    presence_sweep_ms: u64,
    private_tables: PrivateTables,
    reactions: Reactions,
    redis: RedisHealth,
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How private tables are sold.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PrivateTables {
    payment_mode: &'static str,
    price_usd: Usd,
    default_session_minutes: i64,
    webhook_configured: bool,
    session_sweep_ms: u64,
    default_plan_id: String,
    plans: Vec<Plan>,
    read_gate: &'static str,
}

impl PrivateTables {
    fn of(rules: &PrivateTableRules, settings: &Settings) -> Self {
        let standard = rules.plans.standard();
        Self {
            payment_mode: rules.payment.as_str(),
            price_usd: rules.price,
            default_session_minutes: standard.duration_minutes,
            webhook_configured: rules.payment == PaymentMode::Webhook { configured: true },
            session_sweep_ms: whole_ms(settings.table_session_sweep),
            default_plan_id: standard.plan_id.clone(),
            plans: rules.plans.plans().to_vec(),
            read_gate: if rules.gates_reads { "members" } else { "off" },
        }
    }
}

/// Where each kind of data is kept: `sqlite`, the embedded database, or `postgres`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Storage {
    /// The log.
    event_store: &'static str,
    /// What actors may do.
    permissions: &'static str,
    /// What operators have imposed.
    operator_overrides: &'static str,
    /// What operators did.
    operator_audit: &'static str,
    /// Who is there.
    presence: &'static str,
    /// What actors say about themselves.
    profiles: &'static str,
    /// The rooms.
    rooms: &'static str,
    /// Sessions of private tables.
    table_sessions: &'static str,
    /// The tasks.
    tasks: &'static str,
    /// The shared objects.
    shared_objects: &'static str,
    /// What is pinned in rooms.
    room_context: &'static str,
    /// The inboxes.
    inbox: &'static str,
    /// Idempotency keys.
    idempotency: &'static str,
    /// What was saved of rooms and agents.
    snapshots: &'static str,
    /// What became of requests.
    traces: &'static str,
    /// The rules by which actors react.
    reactions: &'static str,
    /// Webhooks.
    subscriptions: &'static str,
}

/// How the inbox stands. It is projected in the same transaction as its events, so its cursor is the log's head.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct InboxProjector {
    /// How far it has come: the head of the log.
    cursor: Sequence,
    projected_events: u64,
    inserted_items: u64,
    rebuilt_counters: u64,
    bootstrapped_at: Timestamp,
    last_projected_at: Option<Timestamp>,
    last_error: Option<String>,
    counters: Counters,
}

/// The unread counters in Redis.
#[derive(Serialize, JsonSchema)]
struct Counters {
    enabled: bool,
    reason: Option<String>,
}

impl Counters {
    fn of(redis: Option<&Redis>) -> Self {
        let Some(status) = redis.map(Redis::status) else {
            return Self { enabled: false, reason: Some("REDIS_URL is not set".to_owned()) };
        };
        let reason = status.last_error.unwrap_or_else(|| "there is no connection to Redis yet".to_owned());
        Self { enabled: status.connected, reason: (!status.connected).then_some(reason) }
    }
}

/// Redis, which nodes share; `ok` does not depend on it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RedisHealth {
    /// Whether `REDIS_URL` is set.
    enabled: bool,
    /// Whether there is a connection.
    connected: bool,
    /// What limits hold for: `shared`, all nodes together; `own`, each node by itself.
    limits: &'static str,
    /// How often a connection was lost, or could not be made, since the start.
    failures: u64,
    /// Why, the last time.
    last_error: Option<String>,
}

impl RedisHealth {
    fn of(redis: Option<&Redis>) -> Self {
        let ConnectionStatus { connected, failures, last_error } =
            redis.map(Redis::status).unwrap_or_default();
        let limits = if connected { "shared" } else { "own" };
        Self { enabled: redis.is_some(), connected, limits, failures, last_error }
    }
}

/// The moderation settings in force.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Moderation {
    window_ms: i64,
    max_actions_per_window: usize,
    max_repeated_text_per_window: usize,
    min_action_interval_ms: i64,
    cooldown_ms: i64,
}

/// What the reaction engine has done since the process began, and what waits for it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Reactions {
    processed: u64,
    triggered: u64,
    skipped: u64,
    failed: u64,
    in_flight: u64,
    queued: u64,
}

impl Reactions {
    fn of(app: &App) -> Self {
        let metrics = &app.engine.metrics.reactions;
        let in_flight = u64::try_from(metrics.in_flight.get()).unwrap_or(0);
        let lag = app.engine.followers.lag("reactions", app.engine.store.recent_events().head());
        Self {
            processed: metrics.processed.get(),
            triggered: metrics.of("triggered"),
            skipped: metrics.of("skipped"),
            failed: metrics.of("failed"),
            in_flight,
            queued: lag.saturating_sub(in_flight),
        }
    }
}

/// What webhooks have done since the start.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Webhooks {
    processed: u64,
    delivered: u64,
    failed: u64,
    retried: u64,
    dlq: u64,
    in_flight: i64,
    queued: i64,
}

impl Webhooks {
    fn of(metrics: &WebhookMetrics) -> Self {
        let (failed, in_flight) = (metrics.count(FAILED), metrics.in_flight.get());
        Self {
            processed: metrics.processed.get(),
            delivered: metrics.count(DELIVERED),
            failed,
            retried: metrics.count(RETRIED),
            dlq: failed,
            in_flight,
            queued: (metrics.queued.get() - in_flight).max(0),
        }
    }
}

/// `GET /healthz`: the one success without `data`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let store = app.engine.store.kind();
    let rules: &ModerationRules = app.rules().get();
    let redis = app.engine.redis.as_deref();
    let health = Health {
        redis: RedisHealth::of(redis),
        ok: true,
        service: "agentcafe-api",
        time: app.engine.now(),
        storage: Storage {
            event_store: store,
            permissions: store,
            operator_overrides: store,
            operator_audit: store,
            presence: store,
            profiles: store,
            rooms: store,
            table_sessions: store,
            tasks: store,
            shared_objects: store,
            room_context: store,
            inbox: store,
            idempotency: store,
            snapshots: store,
            traces: store,
            reactions: store,
            subscriptions: store,
        },
        inbox_projector: InboxProjector {
            cursor: app.engine.store.recent_events().head(),
            projected_events: app.engine.metrics.events.get(),
            inserted_items: app.engine.metrics.inbox_items.get(),
            rebuilt_counters: redis.map_or(0, |redis| redis.unread.rebuilt.get()),
            bootstrapped_at: app.started_at,
            last_projected_at: app.engine.store.recent_events().newest_at(),
            last_error: None,
            counters: Counters::of(redis),
        },
        moderation: Moderation {
            window_ms: rules.window_ms,
            max_actions_per_window: rules.max_actions_per_window,
            max_repeated_text_per_window: rules.max_repeated_text_per_window,
            min_action_interval_ms: rules.min_action_interval_ms,
            cooldown_ms: rules.cooldown_ms,
        },
        presence_sweep_ms: whole_ms(app.settings.presence_sweep),
        private_tables: PrivateTables::of(app.rules().get(), &app.settings),
        reactions: Reactions::of(&app),
        webhooks: Webhooks::of(&app.engine.metrics.webhooks),
    };
    answer::json(StatusCode::OK, json!(health).to_string())
}

/// `GET /livez`: the process is up.
pub(crate) async fn live() -> Response {
    answer::enveloped(StatusCode::OK, br#"{"live":true}"#)
}

/// `GET /readyz`: the store takes a write, and no follower is stuck.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let mut reasons = Vec::new();
    if app.engine.stopping.is_cancelled() {
        reasons.push("the server is stopping".to_owned());
    } else if !takes_writes(&app).await {
        reasons.push("the store cannot be written".to_owned());
    }
    reasons.extend(app.engine.followers.stuck(app.engine.clock.stopwatch()));
    if reasons.is_empty() {
        return Ok(answer::enveloped(StatusCode::OK, br#"{"ready":true}"#));
    }
    let mut error = ApiError::unavailable("not ready");
    error.error.details.insert("reasons".to_owned(), json!(reasons));
    Err(error)
}

/// Whether the store takes writes. One probe at a time: however many ask, commands have the queue to themselves.
async fn takes_writes(app: &App) -> bool {
    let probing = async {
        let _turn = app.probing.lock().await;
        app.engine.store.probe().await
    };
    timeout(PROBE_TIMEOUT, probing).await.unwrap_or(false)
}

/// `GET /metrics`: the page that Prometheus reads.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    const TYPE: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let mut response = app.engine.metrics_page().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
    response
}

/// `GET /openapi.json`: this API, described from its code.
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let made = tokio::task::spawn_blocking(move || {
        let make = || crate::openapi::document(&app.settings, &crate::router::table());
        app.openapi.get_or_init(make).clone()
    });
    Ok(answer::json(StatusCode::OK, made.await.map_err(|_| ApiError::internal())?))
}
