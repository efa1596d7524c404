//! The limits of an API key: requests a minute, and how much it keeps open at once; whatever the address.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, SHARED_TOKEN, eventually, json};

use crate::launch;

const STREAM: &str = "/v1/events/stream";
const DEADLINE: Duration = Duration::from_secs(30);

/// On all nodes together, where they share Redis. Callers without an API key have the limit of their address, as before.
#[tokio::test]
async fn rate_limit_counts_requests_per_key() {
    let server = launch()
        .with_shared_token()
        .env("API_RATE_LIMIT_PER_MIN", 4)
        .env("API_KEY_RATE_LIMIT_PER_MIN", 2)
        .start()
        .await;
    let root = server.client().with_token(SHARED_TOKEN);
    let listener = |actor: &str| json!({ "scopes": ["listen"], "actors": [actor] });
    let (nova, kai) = (root.make_key(listener("Nova")).await, root.make_key(listener("Kai")).await);
    for key in [&nova, &kai] {
        for left in ["1", "0"] {
            let answer = key.client.get("/v1/rooms").await;
            assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, Some("2")));
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(left));
            assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=2;w=60"));
        }
        let refused = key.client.get("/v1/rooms").await;
        let details = refused.error(429, "ERR_RATE_LIMITED");
        assert!(details["limit"] == 2 && details["retryAfterMs"].as_i64() > Some(0), "{details}");
        assert!(refused.header("retry-after").is_some());
        assert_eq!(key.client.get("/v1/presence").await.status, 200, "another route");
    }
    for want in [200, 200, 200, 200, 429] {
        assert_eq!(root.get("/v1/rooms").await.status, want);
    }
    for _ in 0..5 {
        let poll = nova.client.get("/v1/events/poll?roomId=main&timeoutMs=0").await;
        assert_eq!((poll.status, poll.header("x-ratelimit-limit")), (200, None), "polls are not counted");
        drop(nova.client.stream(&format!("{STREAM}?roomId=main")).await);
    }
}

/// Streams, WebSockets and polls that wait, together; on each node. A poll that finds something at once needs no place.
#[tokio::test]
async fn open_streams_and_polls_of_a_key_are_limited() {
    let server = launch().with_shared_token().env("API_KEY_MAX_OPEN", 2).start().await;
    let root = Client::new(server.address()).with_token(SHARED_TOKEN);
    let nova = root.make_key(json!({ "kind": "agent", "actors": ["Nova"] })).await;
    let _ = nova.client.act("/v1/commands/order", json!({ "itemId": "tea" })).await.data();
    let path = format!("{STREAM}?roomId=main");
    let poll = |timeout_ms: u32| {
        let client = nova.client.clone();
        let query = format!("roomId=main&cursor=latest&heartbeat=false&timeoutMs={timeout_ms}");
        async move { client.get(&format!("/v1/events/poll?{query}")).await }
    };
    let first = nova.client.stream(&path).await;
    let _second = nova.client.stream(&path).await;
    let refused = nova.client.request(Method::GET, &path).stream().await.expect_err("the key has two open");
    assert_eq!(refused.error(429, "ERR_RATE_LIMITED")["limit"], 2);
    assert!(refused.header("retry-after").is_some());
    let _ = poll(100).await.error(429, "ERR_RATE_LIMITED");
    assert_eq!(nova.client.get("/v1/events/poll?roomId=main&cursor=0").await.status, 200);
    let kai = root.make_key(json!({ "kind": "viewer" })).await;
    let _others = kai.client.stream(&path).await;
    drop(first);
    eventually("a place is free", DEADLINE, async || (poll(10).await.status == 200).then_some(())).await;
    // The probes of the test may have the place first.
    let wait = async || Some(poll(30_000).await).filter(|answer| answer.status != 429);
    let waited = eventually("the poll is answered", DEADLINE, wait);
    let order = async {
        eventually("the poll waits", DEADLINE, async || (poll(10).await.status == 429).then_some(())).await;
        let _ = nova.client.act("/v1/commands/order", json!({ "itemId": "tea" })).await.data();
    };
    let (answer, ()) = tokio::join!(waited, order);
    assert!(answer.data()["count"].as_u64() >= Some(1), "{}", answer.text);
    eventually("its place is free", DEADLINE, async || (poll(10).await.status == 200).then_some(())).await;
}
