//! What is counted of webhooks.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ResultLabel {
    /// `delivered`, `retried` or `failed`.
    pub result: &'static str,
}

/// The event arrived.
pub const DELIVERED: ResultLabel = ResultLabel { result: "delivered" };
/// It did not, and is tried again.
pub const RETRIED: ResultLabel = ResultLabel { result: "retried" };
/// It did not, and is given up.
pub const FAILED: ResultLabel = ResultLabel { result: "failed" };

/// What is counted of webhooks.
pub struct WebhookMetrics {
    /// Events that matched a subscription and were dealt with.
    pub processed: Counter,
    /// Attempts by what came of them.
    pub deliveries: Family<ResultLabel, Counter>,
    /// Attempts under way.
    pub in_flight: Gauge,
    /// Events that are being dealt with, those whose attempt is under way among them.
    pub queued: Gauge,
    /// Events that could not be delivered and are not resolved.
    pub dlq_open: Gauge<u64, AtomicU64>,
    /// How far the last subscription that has something to do is behind the log's head; none while another node delivers.
    pub lag: Mutex<Option<u64>>,
}

impl WebhookMetrics {
    /// All at zero, and known to the registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            processed: Counter::default(),
            deliveries: Family::default(),
            in_flight: Gauge::default(),
            queued: Gauge::default(),
            dlq_open: Gauge::default(),
            lag: Mutex::default(),
        };
        for result in [DELIVERED, RETRIED, FAILED] {
            drop(metrics.deliveries.get_or_create(&result));
        }
        registry.register("webhook_events", "Events that webhooks dealt with", metrics.processed.clone());
        registry.register("webhook_deliveries", "Attempts to deliver by result", metrics.deliveries.clone());
        registry.register("webhook_in_flight", "Attempts under way", metrics.in_flight.clone());
        registry.register(
            "webhook_queued",
            "Events that are dealt with, waiting for an attempt or being sent",
            metrics.queued.clone(),
        );
        registry.register(
            "webhook_dlq_open",
            "Events that could not be delivered and are not resolved",
            metrics.dlq_open.clone(),
        );
        metrics
    }

    /// How many attempts had this result.
    pub fn count(&self, result: ResultLabel) -> u64 {
        self.deliveries.get_or_create(&result).get()
    }
}
