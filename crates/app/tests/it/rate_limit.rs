//! The rate limit of requests: what it counts, its headers, and that it cannot be evaded.

use agentcafe_testkit::{Answer, Client, Method, Server, json};

use crate::launch;

const LIMIT: usize = 3;

async fn limited() -> (Server, Client) {
    let server = launch().env("API_RATE_LIMIT_PER_MIN", LIMIT).start().await;
    let client = server.client();
    (server, client)
}

fn number(answer: &Answer, name: &str) -> u64 {
    let value = answer.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers));
    value.parse().unwrap_or_else(|_| panic!("{name}: {value} is no number"))
}

/// Every response has the limit, the rest and the reset; a refusal has `Retry-After`, too.
#[tokio::test]
async fn rate_limit_is_in_headers_and_enforced() {
    let (_server, client) = limited().await;
    for used in 1..=LIMIT as u64 {
        let answer = client.get("/v1/events").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            (number(&answer, "x-ratelimit-limit"), number(&answer, "x-ratelimit-remaining")),
            (3, 3 - used)
        );
        assert_eq!(answer.header("retry-after"), None);
    }
    let answer = client.get("/v1/events").await;
    let details = answer.error(429, "ERR_RATE_LIMITED").clone();
    let reset = number(&answer, "x-ratelimit-reset");
    let retry_after_ms = details["retryAfterMs"].as_u64().unwrap();
    assert_eq!(details, json!({"limit": 3, "resetEpochSeconds": reset, "retryAfterMs": retry_after_ms}));
    assert!((1..=60_000).contains(&retry_after_ms));
    assert_eq!(number(&answer, "x-ratelimit-remaining"), 0);
    assert!((1..=60).contains(&number(&answer, "retry-after")));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=3;w=60"));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"default\";r=0;t="));
}

/// Another query or another id in the path does not give another budget. Errors and unknown routes count.
#[tokio::test]
async fn rate_limit_counts_per_method_and_route() {
    let (_server, client) = limited().await;
    for path in ["/v1/events?x=", "/v1/traces/", "/v1/timeline?limit=x", "/nowhere/"] {
        for n in 1..=LIMIT {
            assert_ne!(client.get(&format!("{path}{n}")).await.status, 429, "{path}{n}");
        }
        let _ = client.get(&format!("{path}0")).await.error(429, "ERR_RATE_LIMITED");
    }
    assert_eq!(client.get("/v1/mentions").await.status, 200, "another route");
    let say = json!({"actorId": "Nova", "text": "hi"});
    assert_eq!(client.act("/v1/commands/say", say).await.status, 202, "another method");
}

#[tokio::test]
async fn rate_limit_ignores_x_forwarded_for_of_untrusted_peers() {
    let (_server, client) = limited().await;
    let send = |n: usize| {
        let address = format!("10.0.0.{n}");
        client.request(Method::GET, "/v1/events").header("x-forwarded-for", &address).send()
    };
    for n in 0..LIMIT {
        assert_eq!(send(n).await.status, 200);
    }
    let _ = send(LIMIT).await.error(429, "ERR_RATE_LIMITED");
}

/// The right-most address that is not a trusted proxy counts.
#[tokio::test]
async fn rate_limit_uses_x_forwarded_for_of_trusted_proxies() {
    let server = launch()
        .env("API_RATE_LIMIT_PER_MIN", 1)
        .env("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")
        .start()
        .await;
    let client = server.client();
    let cases = [
        ("1.1.1.1", 200),
        ("1.1.1.1", 429),
        ("2.2.2.2", 200),
        ("9.9.9.9, 2.2.2.2", 429),
        ("3.3.3.3, 10.1.2.3", 200),
        ("7.7.7.7, 3.3.3.3,10.1.2.3", 429),
        ("not an address", 200),
        ("127.0.0.1", 429),
    ];
    for (forwarded, want) in cases {
        let answer =
            client.request(Method::GET, "/v1/events").header("x-forwarded-for", forwarded).send().await;
        assert_eq!(answer.status, want, "{forwarded}");
    }
}

/// A header with a list of addresses is parsed in one place: with ports, in quotes and brackets, as IPv4-mapped IPv6. Of IPv6, a
/// /64 is one client, because a client chooses its address in it. (`x-forwarded-for` is the only such header that is read.)
#[tokio::test]
async fn rate_limit_reads_x_forwarded_for_as_proxies_write_it() {
    let server = launch()
        .env("API_RATE_LIMIT_PER_MIN", 2)
        .env("TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")
        .start()
        .await;
    let client = server.client();
    let check = async |forwarded: &str, want: u16| {
        let sent = client.request(Method::GET, "/v1/rooms").header("x-forwarded-for", forwarded);
        assert_eq!(sent.send().await.status, want, "{forwarded}");
    };
    for one_client in [
        &["203.0.113.7:41001", "203.0.113.7:41002", "203.0.113.7"][..],
        &["203.0.113.8:52113", "203.0.113.8:52113", "203.0.113.8:1"],
        &["\"[2001:db8::7]:443\"", "[2001:db8::7]", "2001:db8::7"],
        &["203.0.113.9", "203.0.113.9", "::ffff:203.0.113.9"],
        &["198.51.100.4, ::ffff:10.0.0.5", "198.51.100.4", "198.51.100.4, [::ffff:10.0.0.5]:80"],
        &["198.51.100.5, ::ffff:10.0.0.5", "198.51.100.5", "198.51.100.5, 10.0.0.6:8080"],
        &["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:1:ffff::a"],
        &["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2::3"],
    ] {
        for (forwarded, want) in one_client.iter().zip([200, 200, 429]) {
            check(forwarded, want).await;
        }
    }
}

#[tokio::test]
async fn rate_limit_exempts_probes_and_metrics_but_not_streams() {
    let (_server, client) = limited().await;
    for path in ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"] {
        for _ in 0..=LIMIT {
            assert_eq!(client.get(path).await.status, 200, "{path}");
        }
    }
    for _ in 0..LIMIT {
        let stream = client.stream("/v1/events/stream").await;
        assert_eq!(stream.headers()["x-ratelimit-limit"], "3");
        assert!(stream.headers().contains_key("x-ratelimit-reset"));
    }
    let refused = client.request(Method::GET, "/v1/events/stream").stream().await.unwrap_err();
    let _ = refused.error(429, "ERR_RATE_LIMITED");
}

#[tokio::test]
async fn rate_limit_of_zero_is_off() {
    let server = launch().env("API_RATE_LIMIT_PER_MIN", 0).start().await;
    let client = server.client();
    for _ in 0..150 {
        assert_eq!(client.get("/v1/traces/none").await.status, 404);
    }
}
