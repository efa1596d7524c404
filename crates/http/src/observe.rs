//! What the middleware does for every request first and last: its id, its tracing span, its error, its metrics.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::answer::CORRELATION_ID;
use crate::browser_policy::other_site;
use crate::cross_origin::protect;
use crate::error;
use crate::metrics::method_name;
use crate::middleware::{Middleware, RouteTraits};
use crate::sse;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is accepted from a client, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What the layers below know of a request, as one of its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// The client's own id if it can be used, else a new one: text of printable ASCII.
    id: HeaderValue,
    /// The traits of the matched route.
    pub(crate) route: RouteTraits,
    /// The origin of the page that sends it, if the settings allow it.
    pub(crate) allowed_origin: Option<HeaderValue>,
    /// Whether a page of another origin sends it.
    is_from_foreign_page: bool,
}

/// Gives a request its id, runs it in a span of the level `debug`, renders its error, protects the response, and counts it. An internal error is logged
/// with its request id whatever the level.
///
/// It is one service because every layer costs every request: with those of `tower_http` for request ids and for panics, which
/// box each body twice and keep the id in the extensions of the response, a small read took a tenth more instructions.
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        let observation = Observation::start(&self.middleware, &request);
        request.extensions_mut().insert(observation.context.clone());
        let response = self.inner.call(request).instrument(observation.span.clone());
        async move { response.await.map(|response| observation.end(response)) }.boxed()
    }
}

/// A request that is being answered.
struct Observation {
    middleware: Arc<Middleware>,
    method: &'static str,
    context: RequestContext,
    is_from_event_source: bool,
    began: Duration,
    span: Span,
}

impl Observation {
    fn start(middleware: &Arc<Middleware>, request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.and_then(|path| (middleware.routes)(path.as_str()));
        let route = route.unwrap_or(RouteTraits::UNMATCHED);
        let id = usable_id(request.headers()).unwrap_or_else(|| middleware.new_request_id());
        let method = method_name(request.method());
        let span = tracing::debug_span!(
            "request",
            request_id = id.to_str().ok(),
            method,
            route = route.template,
            correlation_id = Empty,
            tenant = Empty,
            room = Empty,
            actor = Empty,
            status = Empty,
            duration_ms = Empty,
        );
        let allowed_origin = middleware.browsers.allowed_origin(request.headers()).cloned();
        let is_from_foreign_page = allowed_origin.is_none() && other_site(request.headers()).is_some();
        let context = RequestContext { id, route, allowed_origin, is_from_foreign_page };
        let is_from_event_source = sse::is_from_event_source(request.headers());
        let began = middleware.clock.stopwatch();
        Self { middleware: Arc::clone(middleware), method, context, is_from_event_source, began, span }
    }

    fn end(self, response: Response) -> Response {
        let Self { middleware, method, context, is_from_event_source, began, span } = self;
        let RequestContext { id, route, allowed_origin, .. } = context;
        let took = middleware.clock.stopwatch() - began;
        middleware.metrics.count(method, route, response.status(), took);
        if !span.is_disabled() {
            span.record("status", response.status().as_u16());
            span.record("duration_ms", took.as_secs_f64() * 1_000.0);
            if let Some(id) = response.headers().get(CORRELATION_ID) {
                span.record("correlation_id", id.to_str().ok());
            }
        }
        span.in_scope(|| tracing::debug!("answered"));
        let id_text = id.to_str().unwrap_or_default();
        if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
            let route = route.template;
            tracing::error!(request_id = id_text, method, route, "a request ended with an internal error");
        }
        let mut response = error::render(response, id_text, is_from_event_source);
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        protect(headers, allowed_origin, !middleware.browsers.allowed_origins.is_empty());
        response
    }
}

impl Middleware {
    fn new_request_id(&self) -> HeaderValue {
        HeaderValue::try_from((self.fresh_id)().to_string()).expect("a UUID is printable ASCII")
    }
}

/// The client's request id, unless it is blank, too long or not ASCII.
fn usable_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let text = id.to_str().ok()?;
    (!text.trim().is_empty() && text.len() <= MAX_REQUEST_ID_BYTES).then(|| id.clone())
}

/// The id of a request; empty outside of the middleware.
pub fn request_id(extensions: &Extensions) -> String {
    let id = extensions.get::<RequestContext>().and_then(|context| context.id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// Whether a page of another origin sends the request, as browsers report it, which the settings do not name: it must have no
/// effect that the page's visitor did not ask for.
pub fn is_from_foreign_page(extensions: &Extensions) -> bool {
    extensions.get::<RequestContext>().is_some_and(|context| context.is_from_foreign_page)
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
