//! Long polls: immediate events, waiting, the timeout, and the presence of the listener.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{cafe, launch, log, order};

async fn poll(client: &Client, query: &str) -> Value {
    client.get(&format!("/v1/events/poll?{query}")).await.data().clone()
}

/// Polls in the background, with a connection of its own.
fn polling(client: &Client, query: &str) -> JoinHandle<Value> {
    let (client, query) = (client.clone(), query.to_owned());
    tokio::spawn(async move { poll(&client, &query).await })
}

/// At most `limit` events; `nextCursor` moves on.
#[tokio::test]
async fn poll_returns_stored_events_at_once() {
    let (_server, client) = cafe().await;
    for _ in 0..3 {
        order(&client, "Nova", "main").await;
    }
    let events = log(&client).await;
    let began = Instant::now();
    let got = poll(&client, "roomId=main&timeoutMs=30000").await;
    assert_eq!((&got["events"], &got["count"], &got["presence"]), (&json!(events), &json!(6), &json!(null)));
    assert_eq!(got["nextCursor"], events[5]["sequence"]);
    assert!(got["waitedMs"].as_u64().unwrap() < 5_000);
    let mut cursor = json!(0);
    for chunk in events.chunks(4) {
        let got = poll(&client, &format!("roomId=main&limit=4&cursor={cursor}")).await;
        assert_eq!(got["events"], json!(chunk));
        cursor = got["nextCursor"].clone();
    }
    let id = events[3]["eventId"].as_str().unwrap();
    assert_eq!(poll(&client, &format!("afterEventId={id}")).await["events"], json!(events[4..]));
    let unknown = client.get("/v1/events/poll?afterEventId=nonsense").await;
    let _ = unknown.error(404, "ERR_NOT_FOUND");
    assert!(began.elapsed() < Duration::from_secs(10), "none of these waited");
}

/// It returns with the first events, and does not wait for more.
#[tokio::test]
async fn poll_waits_for_the_next_event() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    for query in
        ["cursor=2&timeoutMs=20000", "cursor=latest&timeoutMs=20000", "cursor=2&pollIntervalMs=9999999"]
    {
        let head = log(&client).await.len();
        let query = query.replace("cursor=2", &format!("cursor={head}"));
        let waiting = polling(&client, &format!("{query}&types=order_changed"));
        // Whether the poll has started cannot be observed, so orders are sent until it returns one.
        let mut ordered = Vec::new();
        while !waiting.is_finished() {
            ordered.push(order(&client, "Kai", "main").await);
        }
        let got = waiting.await.unwrap();
        let first = &got["events"][0];
        assert!(ordered.iter().any(|sequence| first["sequence"] == *sequence), "{query}: {got}");
        assert!(got["nextCursor"].as_u64() >= first["sequence"].as_u64());
    }
}

#[tokio::test]
async fn poll_is_empty_after_its_timeout() {
    let (_server, client) = cafe().await;
    for (timeout_ms, least, most) in [(0, 0, 10_000), (300, 300, 10_000)] {
        let began = Instant::now();
        let got = poll(&client, &format!("timeoutMs={timeout_ms}")).await;
        assert_eq!((&got["events"], &got["count"], &got["nextCursor"]), (&json!([]), &json!(0), &json!(0)));
        let waited_ms = got["waitedMs"].as_u64().unwrap();
        assert!((least..most).contains(&waited_ms), "waitedMs {waited_ms} for timeoutMs {timeout_ms}");
        assert!(began.elapsed() >= Duration::from_millis(least));
    }
    for (field, value) in
        [("timeoutMs", "soon"), ("timeoutMs", "1.5"), ("cursor", "x"), ("limit", "x"), ("cursor", "Latest")]
    {
        let answer = client
            .get(
                &format!("/v1/events/poll?timeoutMs=0&{field}={value}")
                    .replace("timeoutMs=0&timeoutMs", "timeoutMs"),
            )
            .await;
        let details = answer.error(400, "ERR_VALIDATION");
        assert_eq!((&details["field"], &details["value"]), (&json!(field), &json!(value)));
    }
}

/// At once, and after waiting.
#[tokio::test]
async fn poll_cursor_moves_past_filtered_events() {
    let (_server, client) = cafe().await;
    for _ in 0..3 {
        order(&client, "Nova", "main").await;
    }
    let got = poll(&client, "roomId=attic&timeoutMs=0").await;
    assert_eq!((&got["count"], &got["nextCursor"]), (&json!(0), &json!(6)));
    let waiting = polling(&client, "roomId=attic&timeoutMs=3000");
    let mut last = 6;
    while !waiting.is_finished() {
        last = order(&client, "Nova", "main").await;
    }
    let cursor = waiting.await.unwrap()["nextCursor"].as_u64().unwrap();
    assert!(cursor > 6 && cursor <= last + 1, "{cursor} of {last}");
}

/// `actorId` is the listener.
#[tokio::test]
async fn poll_filters_by_author_id_not_by_actor_id() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    order(&client, "Kai", "attic").await;
    let cases = [
        ("authorId=Kai", vec![3, 4]),
        ("roomId=main", vec![1, 2]),
        ("types=order_changed", vec![1, 3]),
        ("authorId=Kai&types=presence_heartbeat", vec![4]),
        ("tenantId=acme", vec![]),
        ("actorId=Kai", vec![1, 2, 3, 4]),
    ];
    for (query, want) in cases {
        let got = poll(&client, &format!("timeoutMs=0&{query}")).await;
        let sequences: Vec<u64> =
            got["events"].as_array().unwrap().iter().filter_map(|event| event["sequence"].as_u64()).collect();
        assert_eq!(sequences, want, "{query}");
    }
}

/// A refresh that changes nothing appends no event, and keeps the status.
#[tokio::test]
async fn poll_refreshes_the_listeners_presence() {
    let (_server, client) = cafe().await;
    let listen = "tenantId=default&roomId=main&actorId=Nova&timeoutMs=0";
    let got = poll(&client, listen).await;
    assert_eq!((&got["presence"]["status"], &got["presence"]["isActive"]), (&json!("idle"), &json!(true)));
    order(&client, "Nova", "main").await;
    let before = log(&client).await;
    let stored = client.get("/v1/presence?roomId=main&actorId=Nova").await.data()["presence"].clone();
    assert_eq!(stored["status"], "busy");
    let got = poll(&client, &format!("{listen}&ttlMs=300000")).await;
    assert_eq!((&got["presence"]["status"], &got["presence"]["ttlMs"]), (&json!("busy"), &json!(300_000)));
    assert!(got["presence"]["expiresAt"].as_str() > stored["expiresAt"].as_str());
    assert_eq!(log(&client).await, before, "nothing was appended");
    let got = poll(&client, &format!("{listen}&status=thinking")).await;
    assert_eq!(got["presence"]["status"], "thinking");
    let types: Vec<Value> =
        log(&client).await[before.len()..].iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, ["presence_heartbeat", "status_changed"]);
}

/// So does `heartbeat=false`.
#[tokio::test]
async fn poll_without_actor_tenant_and_room_leaves_presence_alone() {
    let (_server, client) = cafe().await;
    for query in [
        "actorId=Nova&roomId=main",
        "actorId=Nova&tenantId=default",
        "tenantId=default&roomId=main",
        "actorId=Nova&tenantId=default&roomId=main&heartbeat=false",
    ] {
        let got = poll(&client, &format!("{query}&timeoutMs=0")).await;
        assert_eq!(got["presence"], json!(null), "{query}");
    }
    assert!(log(&client).await.is_empty());
    let answer = client.get("/v1/events/poll?timeoutMs=0&status=asleep").await;
    let _ = answer.error(400, "ERR_INVALID_ENUM");
}

/// Reads have no effect and do not wait, unless their client asks for it: `HEAD`, and pages of other origins, cannot. A stream
/// that does not ask for it has no effect on presence at all.
#[tokio::test]
async fn poll_neither_waits_nor_shows_presence_for_head_and_foreign_pages() {
    const POLL: &str =
        "/v1/events/poll?cursor=latest&tenantId=default&roomId=main&actorId=Ghost&heartbeat=true";
    let server =
        launch().env("API_AUTH_TOKEN", "t").env("API_ALLOWED_ORIGINS", "https://cafe.example").start().await;
    let client = server.client().with_header("x-api-key", "t");
    let began = Instant::now();
    for method in [Method::HEAD, Method::GET] {
        let poll = client.request(method, POLL).header("sec-fetch-site", "cross-site").send().await;
        assert_eq!(poll.status, 200);
    }
    assert_eq!(client.request(Method::HEAD, POLL).send().await.status, 200);
    let stream =
        client.request(Method::HEAD, "/v1/streams/market-events?actorId=Ghost&roomId=main").send().await;
    assert_eq!((stream.status, stream.text.as_str()), (200, ""));
    assert!(began.elapsed() < Duration::from_secs(15), "none of these waited");
    assert!(log(&client).await.is_empty());
    let allowed = client.request(Method::GET, &format!("{POLL}&timeoutMs=0"));
    let allowed = allowed.header("sec-fetch-site", "cross-site").header("origin", "https://cafe.example");
    assert_eq!(allowed.send().await.data()["presence"]["actorId"], "Ghost");
}
