//! What the process counts and measures, in Prometheus' terms.

use std::sync::atomic::AtomicU64;

use agentcafe_store::CommitReport;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::redis::RedisMetrics;
use crate::webhook_metrics::WebhookMetrics;

/// A refusal's label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The reason code.
    pub reason: String,
}

impl ReasonLabel {
    /// The label of a reason.
    pub fn of(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }
}

/// A follower's label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct FollowerLabel {
    /// Its name.
    pub name: &'static str,
}

/// What came of a reaction.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `triggered`, `skipped` or `failed`.
    pub outcome: &'static str,
}

/// What the reaction engine does.
pub struct ReactionMetrics {
    /// Events that were held against the rules of their tenant.
    pub processed: Counter,
    /// Rules that met an event, by what came of it.
    pub outcomes: Family<OutcomeLabel, Counter>,
    /// Events in progress.
    pub in_flight: Gauge,
}

impl ReactionMetrics {
    /// The outcomes that there are.
    const OUTCOMES: [&str; 3] = ["triggered", "skipped", "failed"];

    fn register(registry: &mut Registry) -> Self {
        let (processed, in_flight) = (Counter::default(), Gauge::default());
        let outcomes = Family::<OutcomeLabel, Counter>::default();
        registry.register("reaction_events", "Events held against reaction rules", processed.clone());
        registry.register("reactions", "Reaction rules that met an event, by outcome", outcomes.clone());
        registry.register(
            "reactions_in_flight",
            "Events that reactions are in progress for",
            in_flight.clone(),
        );
        for outcome in Self::OUTCOMES {
            drop(outcomes.get_or_create(&OutcomeLabel { outcome }));
        }
        Self { processed, outcomes, in_flight }
    }

    /// How often an outcome came of it.
    pub fn of(&self, outcome: &'static str) -> u64 {
        self.outcomes.get_or_create(&OutcomeLabel { outcome }).get()
    }

    /// Counts an outcome.
    pub fn count(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

type Reasons = Family<ReasonLabel, Counter>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// How many commands turns held.
    pub batch_commands: Histogram,
    /// How long turns took, in seconds.
    pub batch_seconds: Histogram,
    /// Turns that could not be written.
    pub failed_batches: Counter,
    /// Events written.
    pub events: Counter,
    /// The log's head.
    pub log_head: Gauge<u64, AtomicU64>,
    /// Actions that moderation blocked.
    pub moderation_blocks: Reasons,
    /// Actions that operators' overrides blocked.
    pub override_blocks: Reasons,
    /// Inbox items written.
    pub inbox_items: Counter,
    /// From a request's arrival until the inbox items it caused are committed, in seconds.
    pub inbox_enqueue_seconds: Histogram,
    /// From an inbox item's time until it was acknowledged, in seconds.
    pub inbox_ack_seconds: Histogram,
    /// What the reaction engine does.
    pub reactions: ReactionMetrics,
    /// How many events followers are behind, by name.
    pub follower_lag: Family<FollowerLabel, Gauge<u64, AtomicU64>>,
    /// What is counted of webhooks.
    pub webhooks: WebhookMetrics,
    /// What is counted of Redis.
    pub redis: RedisMetrics,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("agentcafe");
        let batch_commands = Histogram::new(exponential_buckets(1.0, 2.0, 10));
        registry.register("turn_commands", "Commands in a turn", batch_commands.clone());
        let batch_seconds = seconds();
        registry.register("turn_seconds", "How long turns took, commit included", batch_seconds.clone());
        let failed_batches = Counter::default();
        registry.register("turns_failed", "Turns that could not be written", failed_batches.clone());
        let events = Counter::default();
        registry.register("events_written", "Events written to the log", events.clone());
        let log_head = Gauge::<u64, AtomicU64>::default();
        registry.register("log_head", "The last event's sequence", log_head.clone());
        let moderation_blocks = Reasons::default();
        registry.register(
            "moderation_blocks",
            "Actions blocked by moderation, by reason",
            moderation_blocks.clone(),
        );
        let override_blocks = Reasons::default();
        registry.register(
            "override_blocks",
            "Actions blocked by operators, by reason",
            override_blocks.clone(),
        );
        for reason in ["MOD_COOLDOWN", "MOD_MIN_INTERVAL", "MOD_RATE_LIMIT", "MOD_REPEAT_TEXT"] {
            drop(moderation_blocks.get_or_create(&ReasonLabel::of(reason)));
        }
        for reason in ["ROOM_PAUSED", "ACTOR_MUTED"] {
            drop(override_blocks.get_or_create(&ReasonLabel::of(reason)));
        }
        let inbox_items = Counter::default();
        registry.register("inbox_items", "Inbox items written", inbox_items.clone());
        let inbox_enqueue_seconds = seconds();
        registry.register(
            "inbox_enqueue_seconds",
            "From a request's arrival until the inbox items it caused are committed",
            inbox_enqueue_seconds.clone(),
        );
        let inbox_ack_seconds = Histogram::new(exponential_buckets(0.01, 4.0, 12));
        registry.register(
            "inbox_ack_seconds",
            "How long inbox items waited for their ack",
            inbox_ack_seconds.clone(),
        );
        let reactions = ReactionMetrics::register(&mut registry);
        let follower_lag = Family::<FollowerLabel, Gauge<u64, AtomicU64>>::default();
        registry.register(
            "follower_lag",
            "Events that a follower has not dealt with yet",
            follower_lag.clone(),
        );
        let webhooks = WebhookMetrics::register(&mut registry);
        let redis = RedisMetrics::register(&mut registry);
        Self {
            registry,
            batch_commands,
            batch_seconds,
            failed_batches,
            events,
            log_head,
            moderation_blocks,
            override_blocks,
            inbox_items,
            inbox_enqueue_seconds,
            inbox_ack_seconds,
            reactions,
            follower_lag,
            webhooks,
            redis,
        }
    }

    /// The registry, for metrics that other parts of the process count.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The page that Prometheus reads.
    pub fn page(&self) -> String {
        let mut page = String::new();
        encode(&mut page, &self.registry).expect("writing to memory does not fail");
        page
    }

    /// Counts a turn.
    pub fn count_batch(&self, report: &CommitReport) {
        self.batch_commands.observe(report.commands as f64);
        self.batch_seconds.observe(report.took.as_secs_f64());
        self.events.inc_by(report.events as u64);
        self.inbox_items.inc_by(report.inbox_items);
        if !report.committed {
            self.failed_batches.inc();
        }
        self.log_head.set(report.head.0);
        for (waited_ms, histogram) in [
            (&report.inbox_enqueued_ms, &self.inbox_enqueue_seconds),
            (&report.inbox_acked_ms, &self.inbox_ack_seconds),
        ] {
            waited_ms.iter().for_each(|ms| histogram.observe(*ms as f64 / 1_000.0));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
