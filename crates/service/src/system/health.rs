//! The health document: the settings in force, and the state of the process.

use std::collections::BTreeMap;
use std::time::Duration;

use agentcafe_domain::kernel::{Sequence, Timestamp, Usd};
use agentcafe_domain::moderation::ModerationRules;
use agentcafe_domain::tables::PrivateTableRules;
use agentcafe_domain::tables::payment::PaymentMode;
use agentcafe_domain::tables::plan::Plan;
use agentcafe_engine::metrics::{DELIVERED, FAILED, RETRIED, WebhookMetrics};
use agentcafe_engine::redis::{ConnectionStatus, Redis, RedisUse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::service::{Service, ServiceSettings};

/// What the limits that nodes share need of Redis.
const SHARED_LIMITS: [RedisUse; 3] =
    [RedisUse::RateLimits, RedisUse::ModerationReads, RedisUse::ModerationWrites];
/// What the copies of unread counts need of Redis.
const UNREAD_COPIES: [RedisUse; 3] =
    [RedisUse::UnreadReads, RedisUse::UnreadWrites, RedisUse::UnreadComparison];

/// The health document.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whether the process is healthy.
    ok: bool,
    /// The name of the service.
    service: &'static str,
    /// The time of the server.
    time: Timestamp,
    /// Where each kind of data is kept.
    storage: Storage,
    /// What the inbox projection has done since the process started.
    inbox_projector: InboxProjector,
    /// The limits of moderation.
    moderation: Moderation,
    /// What the webhook sender has done since the process started.
    webhooks: Webhooks,
    /// How often expired presences are marked, in milliseconds.
    presence_sweep_ms: u64,
    /// The settings of private tables.
    private_tables: PrivateTables,
    /// What the reaction engine has done since the process started.
    reactions: Reactions,
    /// The state of Redis, which is optional.
    redis: RedisHealth,
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How private tables are sold.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PrivateTables {
    /// How payments are verified: stub, webhook or off.
    payment_mode: &'static str,
    /// The price of a private room, in dollars.
    price_usd: Usd,
    /// How long a session lasts if its plan has no duration, in minutes.
    default_session_minutes: i64,
    /// Whether a payment webhook is configured.
    webhook_configured: bool,
    /// How often expired sessions are ended, in milliseconds.
    session_sweep_ms: u64,
    /// The plan of requests that name none.
    default_plan_id: String,
    /// The plans that can be bought.
    plans: Vec<Plan>,
    /// Who reads what happens at a private table: off (all) or members.
    read_gate: &'static str,
}

impl PrivateTables {
    fn of(rules: &PrivateTableRules, settings: &ServiceSettings) -> Self {
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

/// Declares the kinds of data, each of which the one database keeps.
macro_rules! storage {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// Where each kind of data is kept: `sqlite`, the embedded database, or `postgres`.
        #[derive(Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        struct Storage {
            $($(#[$doc])* $kind: &'static str,)*
        }

        impl Storage {
            fn all_in(database: &'static str) -> Self {
                Self { $($kind: database,)* }
            }
        }
    };
}
storage! {
    /// The log.
    event_store,
    /// What actors may do.
    permissions,
    /// What operators have imposed.
    operator_overrides,
    /// What operators did.
    operator_audit,
    /// Who is there.
    presence,
    /// The actors' descriptions of themselves.
    profiles,
    /// The rooms.
    rooms,
    /// Sessions of private tables.
    table_sessions,
    /// The tasks.
    tasks,
    /// The shared objects.
    shared_objects,
    /// What is pinned in rooms.
    room_context,
    /// The inboxes.
    inbox,
    /// Idempotency keys.
    idempotency,
    /// What was saved of rooms and agents.
    snapshots,
    /// What became of requests.
    traces,
    /// The rules by which actors react.
    reactions,
    /// Webhooks.
    subscriptions,
}

/// The state of the inbox. It is projected in the same transaction as its events, so its cursor is the log's head.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct InboxProjector {
    /// How far it has come: the head of the log.
    cursor: Sequence,
    /// The number of events that the inbox projection has read.
    projected_events: u64,
    /// The number of items that were put into inboxes.
    inserted_items: u64,
    /// The number of counters that were rebuilt.
    rebuilt_counters: u64,
    /// When the process started to count.
    bootstrapped_at: Timestamp,
    /// When an item was last put into an inbox.
    last_projected_at: Option<Timestamp>,
    /// The last error; null if there was none.
    last_error: Option<String>,
    /// Where unread items are counted.
    counters: Counters,
}

/// The unread counters in Redis.
#[derive(Serialize, JsonSchema)]
struct Counters {
    /// Whether it is in use.
    enabled: bool,
    /// Why.
    reason: Option<String>,
}

impl Counters {
    fn of(redis: Option<&Redis>) -> Self {
        let Some(status) = redis.map(Redis::status) else {
            return Self { enabled: false, reason: Some("REDIS_URL is not set".to_owned()) };
        };
        let reason = status.unavailable(&UNREAD_COPIES);
        Self { enabled: reason.is_none(), reason }
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
    /// The uses whose last reply was an error, such as a full memory, with the error. The next request after a second tries again.
    #[schemars(with = "BTreeMap<String, String>")]
    refused: BTreeMap<RedisUse, String>,
}

impl RedisHealth {
    fn of(redis: Option<&Redis>) -> Self {
        let status = redis.map(Redis::status).unwrap_or_default();
        let limits = if status.unavailable(&SHARED_LIMITS).is_none() { "shared" } else { "own" };
        let ConnectionStatus { connected, failures, last_error, refused } = status;
        Self { enabled: redis.is_some(), connected, limits, failures, last_error, refused }
    }
}

/// The moderation settings in force.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Moderation {
    /// The length of the moderation window, in milliseconds.
    window_ms: i64,
    /// The largest number of actions of an actor in a room within the window; 0: no limit.
    max_actions_per_window: usize,
    /// How often an actor may repeat a text within the window; 0: no limit.
    max_repeated_text_per_window: usize,
    /// The shortest time between two actions of an actor, in milliseconds.
    min_action_interval_ms: i64,
    /// How long an actor is blocked after it exceeded a limit, in milliseconds.
    cooldown_ms: i64,
}

/// What the reaction engine has done since the process began, and what waits for it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Reactions {
    /// The number of events that were matched against the rules.
    processed: u64,
    /// The number of reactions that took effect.
    triggered: u64,
    /// The number of matches that led to no reaction.
    skipped: u64,
    /// The number of reactions that failed.
    failed: u64,
    /// The number of reactions in progress.
    in_flight: u64,
    /// The number of events in the queue.
    queued: u64,
}

impl Reactions {
    fn of(service: &Service) -> Self {
        let metrics = &service.engine.metrics.reactions;
        let in_flight = u64::try_from(metrics.in_flight.get()).unwrap_or(0);
        let lag = service.engine.followers.lag("reactions", service.engine.store.recent_events().head());
        Self {
            processed: metrics.processed.get(),
            triggered: metrics.outcomes.get("triggered").get(),
            skipped: metrics.outcomes.get("skipped").get(),
            failed: metrics.outcomes.get("failed").get(),
            in_flight,
            queued: lag.saturating_sub(in_flight),
        }
    }
}

/// What webhooks have done since the start.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Webhooks {
    /// The number of events that were delivered or given up.
    processed: u64,
    /// The number of successful deliveries.
    delivered: u64,
    /// The number of failed attempts.
    failed: u64,
    /// The number of attempts that were retries.
    retried: u64,
    /// The number of events that were given up.
    dlq: u64,
    /// The number of attempts in progress.
    in_flight: i64,
    /// The number of events in the queue.
    queued: i64,
}

impl Webhooks {
    fn of(metrics: &WebhookMetrics) -> Self {
        let (failed, in_flight) = (metrics.deliveries.get(FAILED).get(), metrics.in_flight.get());
        Self {
            processed: metrics.processed.get(),
            delivered: metrics.deliveries.get(DELIVERED).get(),
            failed,
            retried: metrics.deliveries.get(RETRIED).get(),
            dlq: failed,
            in_flight,
            queued: (metrics.queued.get() - in_flight).max(0),
        }
    }
}

impl Service {
    /// The health document.
    pub fn health(&self) -> Health {
        let rules: &ModerationRules = self.rules().get();
        let redis = self.engine.redis.as_deref();
        Health {
            redis: RedisHealth::of(redis),
            ok: true,
            service: "agentcafe-api",
            time: self.engine.now(),
            storage: Storage::all_in(self.engine.store.kind()),
            inbox_projector: InboxProjector {
                cursor: self.engine.store.recent_events().head(),
                projected_events: self.engine.metrics.events.get(),
                inserted_items: self.engine.metrics.inbox_items.get(),
                rebuilt_counters: redis.map_or(0, |redis| redis.unread.rebuilt.get()),
                bootstrapped_at: self.started_at,
                last_projected_at: self.engine.store.recent_events().newest_at(),
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
            presence_sweep_ms: whole_ms(self.settings.presence_sweep),
            private_tables: PrivateTables::of(self.rules().get(), &self.settings),
            reactions: Reactions::of(self),
            webhooks: Webhooks::of(&self.engine.metrics.webhooks),
        }
    }
}
