//! The API token: where it is read from, which routes need none, and the response to a request without it.

use agentcafe_testkit::{Client, Method, json};

use crate::launch;

type Headers = &'static [(&'static str, &'static str)];

/// `x-api-key` comes first, then `Authorization: Bearer`, then the query parameter. A wrong `x-api-key` is refused
/// even if the others are right.
#[tokio::test]
async fn token_is_read_from_x_api_key_then_bearer_then_query() {
    let server = launch().env("API_AUTH_TOKEN", " secret ").start().await;
    let client = server.client();
    let cases: [(Headers, &str, bool); 11] = [
        (&[], "", false),
        (&[("x-api-key", "secret")], "", true),
        (&[("x-api-key", "  secret ")], "", true),
        (&[("x-api-key", "Secret")], "", false),
        (&[("authorization", "Bearer secret")], "", true),
        (&[("authorization", "bEARER  secret ")], "", true),
        (&[("authorization", "Basic secret")], "", false),
        (&[], "?apiKey=secret", true),
        (&[], "?apiKey=%20secret", true),
        (&[("x-api-key", "wrong"), ("authorization", "Bearer secret")], "?apiKey=secret", false),
        (&[("x-api-key", " "), ("authorization", "Bearer secret")], "?apiKey=wrong", true),
    ];
    for (headers, query, want) in cases {
        let request = client.request(Method::GET, &format!("/v1/events{query}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let status = request.send().await.status;
        assert_eq!(status, if want { 200 } else { 401 }, "{headers:?} {query}");
    }
}

/// The error names where a token may be sent; the response has `WWW-Authenticate` and the rate limit's headers.
#[tokio::test]
async fn token_missing_is_401_that_explains_how_to_authenticate() {
    let server = launch()
        .env("AGENTCAFE_RUNTIME_API_KEY", "secret")
        .env("API_AUTH_QUERY_PARAM", "token")
        .start()
        .await;
    let client = server.client();
    let answer = client.act("/v1/commands/enter", json!({"actorId": "Nova"})).await;
    assert_eq!(answer.error(401, "ERR_FORBIDDEN")["auth"], json!({"header": "x-api-key", "query": "token"}));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(answer.header("x-ratelimit-limit"), Some("30"), "the limit of failures");
    assert_eq!(client.get("/v1/events?token=secret").await.status, 200);
    assert_eq!(client.get("/v1/events?apiKey=secret").await.status, 401);
    let refused = client.request(Method::GET, "/v1/events/stream").stream().await.unwrap_err();
    let _ = refused.error(401, "ERR_FORBIDDEN");
    assert!(client.request(Method::GET, "/v1/events/stream?token=secret").stream().await.is_ok());
}

/// Only health, liveness, readiness and the description of the API need no token, with `HEAD` too. The token is checked before the route: an
/// unknown path without it is 401.
#[tokio::test]
async fn token_is_not_needed_by_health_checks() {
    let server = launch().env("API_AUTH_TOKEN", "secret").start().await;
    let client = server.client();
    for (path, want) in [
        ("/healthz", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 401),
        ("/openapi.json", 200),
        ("/asyncapi.json", 200),
        ("/v1/bootstrap", 401),
        ("/nowhere", 401),
    ] {
        assert_eq!(client.get(path).await.status, want, "{path}");
        assert_eq!(client.request(Method::HEAD, path).send().await.status, want, "HEAD {path}");
    }
    let inside = client.with_header("x-api-key", "secret");
    for (path, want) in [("/metrics", 200), ("/nowhere", 404)] {
        assert_eq!(inside.get(path).await.status, want, "{path}");
    }
}

/// A token in the query is not logged, and is in no path that the server returns.
#[tokio::test]
async fn token_in_a_query_appears_in_no_log_or_link() {
    let mut server = launch().env("API_AUTH_TOKEN", "s3cr3t").env("AGENTCAFE_LOG", "debug").start().await;
    let answer = server.client().get("/v1/bootstrap?actorId=Nova&apiKey=s3cr3t").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("s3cr3t"), "{}", answer.text);
    assert!(server.stop().await.success());
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
}

/// The limit of requests counts after the token is checked, so that wrong tokens cost a token holder of the same address nothing.
/// Failures have a limit of their own, also where requests have none.
#[tokio::test]
async fn token_holders_are_not_limited_by_wrong_tokens() {
    let server = launch().env("API_AUTH_TOKEN", "secret").env("API_RATE_LIMIT_PER_MIN", 2).start().await;
    // Each node counts failures for itself.
    let stranger = Client::new(server.address());
    let holder = stranger.clone().with_header("x-api-key", "secret");
    for _ in 0..30 {
        let wrong = stranger.request(Method::GET, "/v1/rooms").header("x-api-key", "wrong").send().await;
        let _ = wrong.error(401, "ERR_FORBIDDEN");
    }
    let refused = stranger.get("/v1/rooms?apiKey=wrong").await;
    assert_eq!(refused.error(429, "ERR_RATE_LIMITED")["limit"], 30);
    assert!(refused.header("retry-after").is_some());
    for want in [200, 200, 429] {
        assert_eq!(holder.get("/v1/rooms").await.status, want);
    }
}
