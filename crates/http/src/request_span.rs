//! What is observed of every request: its tracing span, the line in the log at its end, and the metrics.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::answer::CORRELATION_ID;
use crate::metrics::method_name;
use crate::middleware::{Middleware, RouteTraits};
use crate::request_id::{REQUEST_ID, request_id};

/// Runs a request in a span of the level `debug`, and counts it. An internal error is logged with its request id whatever the
/// level. Span and metrics share a layer because each layer of this kind costs about a microsecond.
pub(crate) async fn observe(
    State(middleware): State<Arc<Middleware>>,
    Extension(traits): Extension<RouteTraits>,
    request: Request,
    next: Next,
) -> Response {
    let (method, route) = (method_name(request.method()), traits.template);
    let span = tracing::debug_span!(
        "request",
        request_id = request_id(request.extensions()),
        method,
        route,
        correlation_id = Empty,
        tenant = Empty,
        room = Empty,
        actor = Empty,
        status = Empty,
        duration_ms = Empty,
    );
    let began = middleware.clock.stopwatch();
    let response = next.run(request).instrument(span.clone()).await;
    let took = middleware.clock.stopwatch() - began;
    middleware.metrics.count(method, traits, response.status(), took);
    if !span.is_disabled() {
        span.record("status", response.status().as_u16());
        span.record("duration_ms", took.as_secs_f64() * 1_000.0);
        if let Some(id) = text(response.headers(), &CORRELATION_ID) {
            span.record("correlation_id", id);
        }
    }
    span.in_scope(|| tracing::debug!("answered"));
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        let request_id = text(response.headers(), &REQUEST_ID);
        tracing::error!(request_id, method, route, "a request ended with an internal error");
    }
    response
}

/// Adds to the current request's span which tenant, room and actor the request names.
pub fn record_ids(ids: impl FnOnce() -> [Option<String>; 3]) {
    if tracing::enabled!(Level::DEBUG) {
        let span = Span::current();
        for (field, id) in ["tenant", "room", "actor"].into_iter().zip(ids()) {
            span.record(field, id);
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
