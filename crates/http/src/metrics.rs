//! The metrics of an HTTP server: its requests and its event streams.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::middleware::RouteTraits;

/// The labels of a request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    method: &'static str,
    /// The route's template, or `unmatched`.
    route: &'static str,
    status: u16,
}

/// The metrics of an HTTP server.
#[derive(Clone)]
pub struct HttpMetrics {
    /// Answered requests.
    pub requests: Family<RequestLabels, Counter>,
    /// Request duration in seconds, without streams and long polls.
    pub request_seconds: Histogram,
    /// Open event streams.
    pub stream_clients: Gauge,
    /// Events sent to streams.
    pub stream_events: Counter,
}

impl HttpMetrics {
    /// Registers the metrics, all at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Answered requests by route and status", requests.clone());
        let request_seconds = Histogram::new(exponential_buckets(0.000_25, 2.0, 18));
        registry.register(
            "http_request_seconds",
            "How long requests took, streams and long polls excepted",
            request_seconds.clone(),
        );
        let stream_clients = Gauge::default();
        registry.register("stream_clients", "Open event streams", stream_clients.clone());
        let stream_events = Counter::default();
        registry.register("stream_events", "Events sent to streams", stream_events.clone());
        Self { requests, request_seconds, stream_clients, stream_events }
    }

    /// Counts a request, and observes how long it took unless it stays open on purpose.
    pub(crate) fn count(&self, method: &'static str, route: RouteTraits, status: StatusCode, took: Duration) {
        let labels = RequestLabels { method, route: route.template, status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        if !route.stays_open {
            self.request_seconds.observe(took.as_secs_f64());
        }
    }
}

/// The name of a method as a label: methods that HTTP does not define share one.
pub const fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
