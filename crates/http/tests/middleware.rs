//! The middleware, around routes that do what no route of a server does: panic, or answer with a document of any size.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Code, DomainError, Timestamp};
use agentcafe_domain::keys::Principal;
use agentcafe_http::{
    Authenticator, BrowserPolicy, CallerFuture, Credentials, HttpMetrics, Middleware, RateLimiter,
    RouteAccess, RouteTraits, Token, answer,
};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use flate2::read::GzDecoder;
use futures_util::FutureExt;
use futures_util::future::ready;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const FRESH_ID: Uuid = Uuid::from_u128(7);

/// A clock that a test sets, in milliseconds.
#[derive(Default)]
struct ManualTime(AtomicI64);

impl Clock for ManualTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn stopwatch(&self) -> Duration {
        Duration::ZERO
    }
}

fn traits(path: &str) -> Option<RouteTraits> {
    let template = ["/panic", "/small", "/large", "/stream"].into_iter().find(|known| *known == path)?;
    let access = if template == "/small" { RouteAccess::Callers } else { RouteAccess::Everybody };
    Some(RouteTraits { template, is_limited: true, access, stays_open: false })
}

/// Lets callers in with the shared token.
struct SharedToken(Token);

impl Authenticator for SharedToken {
    fn authenticate(self: Arc<Self>, credentials: Credentials) -> CallerFuture {
        let is_right = matches!(&credentials, Credentials::Token(token) if self.0.is_shared(token));
        let refused = || DomainError::new(Code::Unauthorized).into();
        ready(is_right.then_some(Principal::Shared).ok_or_else(refused)).boxed()
    }

    fn is_open(&self) -> bool {
        false
    }
}

/// A JSON document of this many bytes.
fn document(bytes: usize) -> Response {
    answer::json(StatusCode::OK, json!("x".repeat(bytes - 2)).to_string())
}

async fn panic() -> Response {
    panic!("on purpose")
}

fn server(limit: u64) -> (Router, Registry) {
    server_at(limit, Arc::default())
}

fn server_at(limit: u64, clock: Arc<ManualTime>) -> (Router, Registry) {
    let mut registry = Registry::default();
    let token = Token { required: Some("secret".to_owned()), query_param: "apiKey".to_owned() };
    let middleware = Middleware {
        routes: traits,
        authenticator: Arc::new(SharedToken(token.clone())),
        token_param: token.query_param,
        browsers: BrowserPolicy {
            allowed_hosts: Vec::new(),
            allowed_origins: vec!["http://localhost:5173".to_owned()],
        },
        limiter: RateLimiter::new(limit, None),
        key_limiter: RateLimiter::new(0, None),
        trusted_proxies: Vec::new(),
        clock,
        fresh_id: Box::new(|| FRESH_ID),
        metrics: HttpMetrics::register(&mut registry),
    };
    let stream = || async { ([("content-type", "text/event-stream")], "data: 1\n\n".repeat(10_000)) };
    let routes = Router::new()
        .route("/panic", get(panic))
        .route("/small", get(|| async { document((4 << 10) - 1) }))
        .route("/large", get(|| async { document(100 << 10) }))
        .route("/stream", get(stream));
    (middleware.wrap(routes), registry)
}

async fn send(server: &Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(path).header("host", "cafe.example");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Body::empty()).expect("the request is valid");
    let (parts, body) =
        server.clone().oneshot(request).await.expect("every request is answered").into_parts();
    (parts.status, parts.headers, to_bytes(body, usize::MAX).await.expect("the body is whole").to_vec())
}

/// Any status but 200 ends an `EventSource` for good, so what passes is sent as an event, and the pause is short. Other clients,
/// and other errors, have their statuses.
#[tokio::test]
async fn temporary_error_is_an_event_for_an_event_source() {
    let (server, _) = server(1);
    let browser = ("sec-fetch-mode", "cors");
    let accept = ("accept", "text/event-stream");
    let token = ("x-api-key", "secret");
    assert_eq!(send(&server, "/small", &[browser, accept]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&server, "/small", &[token]).await.0, StatusCode::OK);
    for others in [&[token][..], &[token, accept], &[token, browser]] {
        assert_eq!(send(&server, "/small", others).await.0, StatusCode::TOO_MANY_REQUESTS, "{others:?}");
    }
    let (status, headers, body) = send(&server, "/small", &[token, browser, accept]).await;
    let body = String::from_utf8(body).expect("a stream is text");
    assert_eq!((status.as_u16(), headers["content-type"].as_bytes()), (200, &b"text/event-stream"[..]));
    assert_eq!(
        (headers["retry-after"].as_bytes(), headers["x-ratelimit-limit"].as_bytes()),
        (&b"60"[..], &b"1"[..])
    );
    let start = "retry: 5000\nevent: error\ndata: {\"code\":\"ERR_RATE_LIMITED\",";
    assert!(body.starts_with(start) && body.ends_with("}\n\n"), "{body}");
}

#[tokio::test]
async fn panic_in_a_handler_is_an_internal_error_and_counted() {
    let (server, registry) = server(0);
    let (status, headers, body) = send(&server, "/panic", &[("x-request-id", "mine")]).await;
    assert_eq!((status.as_u16(), headers["x-request-id"].as_bytes()), (500, &b"mine"[..]));
    let body: Value = serde_json::from_slice(&body).expect("the body is JSON");
    assert_eq!(
        (&body["error"]["code"], &body["error"]["requestId"]),
        (&json!("ERR_INTERNAL"), &json!("mine"))
    );
    let mut page = String::new();
    encode(&mut page, &registry).expect("writing to memory does not fail");
    let counted = "http_requests_total{method=\"GET\",route=\"/panic\",status=\"500\"} 1";
    assert!(page.contains(counted), "{page}");
    assert_eq!(send(&server, "/large", &[]).await.0, StatusCode::OK, "the server goes on");
}

#[tokio::test]
async fn request_id_is_the_clients_unless_it_cannot_be_used() {
    let (server, _) = server(0);
    let fresh = FRESH_ID.to_string();
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for (given, want) in
        [("mine", "mine"), (&longest, &longest), (&too_long, &fresh), (" ", &fresh), ("é", &fresh)]
    {
        let (_, headers, _) = send(&server, "/large", &[("x-request-id", given)]).await;
        assert_eq!(headers["x-request-id"], want, "{given:?}");
    }
    assert_eq!(send(&server, "/large", &[]).await.1["x-request-id"], *fresh);
}

/// JSON of 4 KiB and more is compressed for clients that accept gzip; nothing else changes for any client.
#[tokio::test]
async fn compression_is_for_large_json_and_clients_that_accept_gzip() {
    let (server, _) = server(0);
    let token = ("x-api-key", "secret");
    for (path, accepted, is_compressed) in [
        ("/large", "gzip", true),
        ("/large", "br;q=1.0, gzip;q=0.8", true),
        ("/large", "", false),
        ("/large", "br", false),
        ("/large", "gzip;q=0", false),
        ("/small", "gzip", false),
        ("/stream", "gzip", false),
    ] {
        let (_, mut plain_headers, plain) = send(&server, path, &[token]).await;
        let (_, mut headers, mut body) = send(&server, path, &[token, ("accept-encoding", accepted)]).await;
        assert_eq!(headers.remove("content-encoding").is_some(), is_compressed, "{path} {accepted}");
        if is_compressed {
            assert!(body.len() < plain.len() / 10, "{} bytes", body.len());
            assert_eq!(headers.remove("vary").expect("it varies"), "origin");
            plain_headers.remove("vary");
            plain_headers.remove("content-length");
            let mut unpacked = Vec::new();
            GzDecoder::new(&body[..]).read_to_end(&mut unpacked).expect("it is gzip");
            body = unpacked;
        }
        assert_eq!((headers, body), (plain_headers, plain), "{path} {accepted}");
    }
}

/// A request is counted after its token is checked. Failures have a limit of their own, which keeps no valid token out. Unknown
/// paths need a token, too. Every error has the headers of a limit.
#[tokio::test]
async fn middleware_checks_the_token_then_the_limit_then_the_route() {
    let (server, _) = server(2);
    let token = &[("x-api-key", "secret")][..];
    for (path, headers, statuses) in [
        ("/small", &[][..], &[401; 20][..]),
        ("/nowhere", &[("x-api-key", "wrong")], &[401; 10]),
        ("/small", &[], &[429; 2]),
        ("/small", token, &[200, 200, 429]),
        ("/nowhere", token, &[404, 404, 429]),
        ("/panic", &[], &[500, 500, 429]),
    ] {
        for status in statuses {
            let (got, headers, body) = send(&server, path, headers).await;
            assert_eq!(got.as_u16(), *status, "{path} {}", String::from_utf8_lossy(&body));
            assert!(headers.contains_key("x-ratelimit-remaining"), "{path} {headers:?}");
        }
    }
}

/// Whatever the response is: a success, an error of a layer or of the router, a panic, a stream.
#[tokio::test]
async fn responses_say_what_browsers_may_do_with_them() {
    let (server, _) = server(1);
    let (own, allowed) = (&[][..], &[("origin", "http://localhost:5173")][..]);
    for (path, headers, status) in [
        ("/small", own, 401),
        ("/large", own, 200),
        ("/stream", allowed, 200),
        ("/stream", allowed, 429),
        ("/panic", allowed, 500),
        ("/small", allowed, 401),
        ("/large", &[("host", "again")], 400),
        ("/large", &[("origin", "http://evil.example")], 429),
    ] {
        let (got, response, _) = send(&server, path, headers).await;
        assert_eq!(got.as_u16(), status, "{path} {headers:?}");
        assert_eq!(response["x-content-type-options"], "nosniff");
        assert_eq!(response["referrer-policy"], "no-referrer");
        let is_allowed = headers == allowed;
        let readers = if is_allowed { "cross-origin" } else { "same-origin" };
        assert_eq!(response["cross-origin-resource-policy"], readers, "{path} {headers:?}");
        let origin = response.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap());
        assert_eq!(origin, is_allowed.then_some("http://localhost:5173"), "{path} {headers:?}");
        assert_eq!(response["vary"], "origin");
    }
}

/// Windows are per client, method and route. The reset time and the time to wait are rounded up.
#[tokio::test]
async fn rate_limit_window_allows_its_limit_until_it_ends() {
    let clock = Arc::<ManualTime>::default();
    let (server, _) = server_at(2, Arc::clone(&clock));
    for (ms, client, path, status, header, value) in [
        (500, 1, "/large", 200, "x-ratelimit-remaining", "1"),
        (500, 1, "/large", 200, "x-ratelimit-remaining", "0"),
        (1_501, 1, "/large", 429, "x-ratelimit-reset", "61"),
        (1_501, 1, "/large", 429, "retry-after", "59"),
        (1_501, 2, "/large", 200, "x-ratelimit-remaining", "1"),
        (1_501, 1, "/stream", 200, "x-ratelimit-remaining", "1"),
        (60_500, 1, "/large", 200, "x-ratelimit-remaining", "1"),
    ] {
        clock.0.store(ms, Ordering::Relaxed);
        let client = ConnectInfo(SocketAddr::from(([127, 0, 0, client], 1)));
        let request = Request::get(path).header("host", "cafe.example").extension(client);
        let request = request.body(Body::empty()).expect("the request is valid");
        let response = server.clone().oneshot(request).await.expect("every request is answered");
        assert_eq!(
            (response.status().as_u16(), response.headers()[header].as_bytes()),
            (status, value.as_bytes())
        );
    }
}
