//! What is observed of every request: its tracing span, the line in the log at its end, and the metrics.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::answer::CORRELATION_ID;
use crate::metrics::method_name;
use crate::middleware::{Middleware, RouteTraits};
use crate::request_id::{REQUEST_ID, request_id};

/// Runs requests in a span of the level `debug`, and counts them. An internal error is logged with its request id whatever the
/// level. It is a service of its own because `axum::middleware::from_fn` clones all services below it for each request.
#[derive(Clone)]
pub(crate) struct Observe<S> {
    pub(crate) inner: S,
    pub(crate) middleware: Arc<Middleware>,
}

impl<S> Service<Request> for Observe<S>
where
    S: Service<Request, Response = Response, Future: Send + 'static>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let observation = Observation::start(&self.middleware, &request);
        let response = self.inner.call(request).instrument(observation.span.clone());
        async move { response.await.inspect(|response| observation.end(response)) }.boxed()
    }
}

/// A request that is being answered.
struct Observation {
    middleware: Arc<Middleware>,
    method: &'static str,
    traits: RouteTraits,
    began: Duration,
    span: Span,
}

impl Observation {
    fn start(middleware: &Arc<Middleware>, request: &Request) -> Self {
        let traits = request.extensions().get().copied().unwrap_or(RouteTraits::UNMATCHED);
        let method = method_name(request.method());
        let span = tracing::debug_span!(
            "request",
            request_id = request_id(request.extensions()),
            method,
            route = traits.template,
            correlation_id = Empty,
            tenant = Empty,
            room = Empty,
            actor = Empty,
            status = Empty,
            duration_ms = Empty,
        );
        let began = middleware.clock.stopwatch();
        Self { middleware: Arc::clone(middleware), method, traits, began, span }
    }

    fn end(&self, response: &Response) {
        let Self { middleware, method, traits, began, span } = self;
        let took = middleware.clock.stopwatch() - *began;
        middleware.metrics.count(method, *traits, response.status(), took);
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
            tracing::error!(
                request_id,
                method,
                route = traits.template,
                "a request ended with an internal error"
            );
        }
    }
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
