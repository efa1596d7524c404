//! The Prometheus metrics of the process.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::AtomicU64;

use agentcafe_store::CommitReport;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

/// Declares a struct of metrics: each with its help text, its type, and how it is made and registered.
macro_rules! metrics {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $help:literal])+ $vis:vis $field:ident: $type:ty = $make:expr;)* }) => {
        $(#[$meta])*
        pub struct $name { $($(#[doc = $help])+ $vis $field: $type,)* }

        impl $name {
            /// Registers all of them, at zero.
            fn register(registry: &mut Registry, _help: &'static str) -> Self {
                $(let $field: $type = $make(registry, concat!($($help),+).trim_ascii());)*
                Self { $($field),* }
            }
        }
    };
}

metrics! {
    /// All metrics of the process.
    Metrics {
        /// Commands in a commit batch
        pub batch_commands: Histogram =
            metric_from("turn_commands", Histogram::new(exponential_buckets(1.0, 2.0, 10)));
        /// How long commit batches took, in seconds
        pub batch_seconds: Histogram = metric_from("turn_seconds", seconds());
        /// Commit batches that could not be written
        pub failed_batches: Counter = metric("turns_failed");
        /// Events written to the log
        pub events: Counter = metric("events_written");
        /// The last event's sequence
        pub log_head: Gauge<u64, AtomicU64> = metric("log_head");
        /// How far the wall clock is ahead of the time by which durations are decided, in seconds; 0 while it is plausible
        pub clock_ahead_seconds: Gauge<f64, AtomicU64> = metric("clock_ahead_seconds");
        /// Actions blocked by moderation, by reason
        pub moderation_blocks: LabeledCounter = metric_from("moderation_blocks", LabeledCounter::new(
            "reason",
            &["MOD_COOLDOWN", "MOD_MIN_INTERVAL", "MOD_RATE_LIMIT", "MOD_REPEAT_TEXT"],
        ));
        /// Actions blocked by operators, by reason
        pub override_blocks: LabeledCounter =
            metric_from("override_blocks", LabeledCounter::new("reason", &["ROOM_PAUSED", "ACTOR_MUTED"]));
        /// Inbox items written
        pub inbox_items: Counter = metric("inbox_items");
        /// From a request's arrival until the inbox items it caused are committed, in seconds
        pub inbox_enqueue_seconds: Histogram = metric_from("inbox_enqueue_seconds", seconds());
        /// From an inbox item's time until it was acknowledged, in seconds
        pub inbox_ack_seconds: Histogram =
            metric_from("inbox_ack_seconds", Histogram::new(exponential_buckets(0.01, 4.0, 12)));
        /// Reactions
        pub reactions: ReactionMetrics = ReactionMetrics::register;
        /// Events that a follower has not processed yet, by its name
        pub follower_lag: FollowerLag = metric("follower_lag");
        /// Webhooks
        pub webhooks: WebhookMetrics = WebhookMetrics::register;
        /// Redis; zero without it
        pub redis: RedisMetrics = RedisMetrics::register;
        /// The registry
        registry: Registry = |registry, _| std::mem::take(registry);
    }
}

metrics! {
    /// The metrics of the reaction engine.
    ReactionMetrics {
        /// Events matched against reaction rules
        pub processed: Counter = metric("reaction_events");
        /// Reaction rules that matched an event, by outcome
        pub outcomes: LabeledCounter = metric_from("reactions", LabeledCounter::new(
            "outcome",
            &["triggered", "skipped", "failed", "limited"],
        ));
        /// Events for which reactions are in progress
        pub in_flight: Gauge = metric("reactions_in_flight");
    }
}

metrics! {
    /// The metrics of webhooks.
    WebhookMetrics {
        /// Events that matched a subscription and were processed
        pub processed: Counter = metric("webhook_events");
        /// Delivery attempts, by result
        pub deliveries: LabeledCounter =
            metric_from("webhook_deliveries", LabeledCounter::new("result", &[DELIVERED, RETRIED, FAILED]));
        /// Delivery attempts in flight
        pub in_flight: Gauge = metric("webhook_in_flight");
        /// Events that are being processed: they wait for an attempt, or are being sent
        pub queued: Gauge = metric("webhook_queued");
        /// Events that could not be delivered and are not resolved
        pub dlq_open: Gauge<u64, AtomicU64> = metric("webhook_dlq_open");
        /// How far the slowest busy subscription is behind the log's head; none while another node delivers
        pub lag: Mutex<Option<u64>> = |_, _| Mutex::default();
    }
}

metrics! {
    /// The metrics of Redis.
    #[derive(Clone)]
    RedisMetrics {
        /// Whether there is a connection to Redis
        pub(crate) connected: Gauge = metric("redis_connected");
        /// Connections to Redis that were lost or could not be made since the start
        pub(crate) failures: Gauge = metric("redis_failures");
        /// Checks against the limits of this node alone, because Redis was unavailable
        pub own_limits: Counter = metric("redis_own_limits");
    }
}

/// The result of a delivery attempt: the event arrived.
pub const DELIVERED: &str = "delivered";
/// The event did not arrive; the attempt is retried.
pub const RETRIED: &str = "retried";
/// The event did not arrive, and was given up.
pub const FAILED: &str = "failed";

/// How far each follower is behind the log's head, by its name.
type FollowerLag = Family<[(&'static str, &'static str); 1], Gauge<u64, AtomicU64>>;

/// A counter for each value of a label.
#[derive(Clone, Debug)]
pub struct LabeledCounter {
    label: &'static str,
    counters: Family<[(&'static str, Cow<'static, str>); 1], Counter>,
}

impl LabeledCounter {
    /// Counters of these values at zero. Others appear with their first count.
    fn new(label: &'static str, values: &[&'static str]) -> Self {
        let counter = Self { label, counters: Family::default() };
        values.iter().for_each(|value| drop(counter.get(*value)));
        counter
    }

    /// The counter of a value.
    pub fn get(&self, value: impl Into<Cow<'static, str>>) -> Counter {
        self.counters.get_or_create_owned(&[(self.label, value.into())])
    }
}

impl EncodeMetric for LabeledCounter {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.counters.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.counters.metric_type()
    }
}

/// Counts something in a gauge until it is dropped.
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Counts one more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Registers a metric with this name at zero.
fn metric<M: Metric + Clone + Default>(name: &'static str) -> impl FnOnce(&mut Registry, &'static str) -> M {
    metric_from(name, M::default())
}

/// Registers a metric with this name.
fn metric_from<M: Metric + Clone>(
    name: &'static str,
    metric: M,
) -> impl FnOnce(&mut Registry, &'static str) -> M {
    move |registry, help| {
        registry.register(name, help, metric.clone());
        metric
    }
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

impl Metrics {
    /// The registry, for metrics of other parts of the process.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The metrics in Prometheus' text format.
    pub fn page(&self) -> String {
        let mut page = String::new();
        encode(&mut page, &self.registry).expect("writing to memory does not fail");
        page
    }

    /// Counts a commit batch.
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
    /// All metrics at zero.
    fn default() -> Self {
        Self::register(&mut Registry::with_prefix("agentcafe"), "")
    }
}
