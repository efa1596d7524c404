//! `agentcafe realtime` and `agentcafe projector` with API keys: what they read, and whom realtime lets in.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::time::Duration;

use agentcafe_testkit::{
    Client, Key, Launch, Method, Redis, SHARED_TOKEN, Server, Silence, eventually, json,
};

use tokio::time::timeout;

use crate::realtime::{DEADLINE, launch_realtime, read_until_ready, wait_until_received};
use crate::tickets::ticket;
use crate::websocket_client::Socket;
use crate::{launch, order};

const STREAM: &str = "/v1/stream";

/// An API with a shared token, a client with it, and the key of a service.
async fn api() -> (Server, Client, String) {
    let api = launch().with_shared_token().start().await;
    let root = api.client().with_token(SHARED_TOKEN);
    order(&root, "Nova", "main").await;
    let service = root.make_key(json!({ "kind": "service", "tenantId": "*" })).await;
    (api, root, service.token)
}

/// A realtime service that has only the key of a service.
fn launch_with_key(api: &Server, service: &str) -> Launch {
    launch_realtime(api).env("AGENTCAFE_SOURCE_TOKEN", service)
}

async fn refused(client: &Client, path: &str) -> u16 {
    client.request(Method::GET, path).stream().await.unwrap_err().status
}

async fn revoke(root: &Client, key_id: &str) {
    let request = root.request(Method::DELETE, &format!("/v1/keys/{key_id}")).key(key_id);
    assert_eq!(request.send().await.status, 200);
}

/// A client sees the tenant and the rooms of its key, by default its own; others are refused, as at the API.
#[tokio::test]
async fn realtime_clients_see_what_their_keys_are_bound_to() {
    let (api, root, service) = api().await;
    let realtime = launch_with_key(&api, &service).start().await;
    let acme = json!({ "tenantId": "acme", "actorId": "Kai", "roomId": "lab", "itemId": "tea" });
    let head = root.act("/v1/commands/order", acme).await.data()["sequence"].as_u64().unwrap();
    let body = json!({ "kind": "viewer", "tenantId": "acme", "rooms": ["lab"] });
    let viewer = root.make_key(body).await;
    let outside = realtime.client();
    let inside = outside.clone().with_token(&viewer.token);
    let observer = outside.clone().with_token(&service);
    wait_until_received(&observer, head).await;
    let (snapshot, _, events, ready) = read_until_ready(&mut inside.stream(STREAM).await).await;
    assert_eq!((&ready["tenantId"], &ready["roomId"]), (&json!("acme"), &json!("lab")));
    assert_eq!(snapshot["tenantId"], "acme");
    assert!(events.iter().any(|event| event["type"] == "order_changed"), "{events:?}");
    for (path, want) in
        [("?tenantId=default", 403), ("?roomId=main", 403), ("?tenantId=acme&roomId=lab2", 403)]
    {
        assert_eq!(refused(&inside, &format!("{STREAM}{path}")).await, want, "{path}");
    }
    let act = root.make_key(json!({ "scopes": ["act"], "actors": ["Nova"] })).await;
    assert_eq!(refused(&outside.clone().with_token(&act.token), STREAM).await, 403);
    let last = if viewer.token.ends_with('x') { "y" } else { "x" };
    let mistyped = format!("{}{last}", &viewer.token[..67]);
    for token in ["wrong", SHARED_TOKEN, &mistyped] {
        assert_eq!(refused(&outside.clone().with_token(token), STREAM).await, 401, "{token}");
    }
    assert_eq!(refused(&outside, STREAM).await, 401);
    assert_eq!(outside.get("/healthz").await.json, json!({ "ok": true }));
    assert_eq!(inside.get("/metrics").await.status, 403);
    assert_eq!(observer.get("/healthz").await.json["source"]["connected"], true);
    assert_eq!(observer.get("/metrics").await.status, 200);
}

/// Of the room's own tenant and only once, as at the API.
#[tokio::test]
async fn realtime_takes_tickets_of_the_api() {
    let (api, root, service) = api().await;
    let realtime = launch_with_key(&api, &service).start().await;
    let viewer = root.make_key(json!({ "kind": "viewer", "rooms": ["main"] })).await;
    let opened = ticket(&viewer.client, STREAM, json!({ "cursor": 1 })).await;
    let browser = realtime.client();
    assert_eq!(refused(&browser, &format!("{STREAM}?cursor=2&ticket={opened}")).await, 401);
    let path = format!("{STREAM}?cursor=1&ticket={opened}");
    let mut stream = browser.stream(&path).await;
    let _ = read_until_ready(&mut stream).await;
    assert_eq!(refused(&browser, &path).await, 401);
    let path = format!("/v1/ws?ticket={}", ticket(&viewer.client, "/v1/ws", json!({})).await);
    let mut socket = Socket::open(realtime.address(), &path, &[]).await.unwrap();
    assert_eq!(socket.next().await.event, "snapshot");
    revoke(&root, &viewer.id).await;
    let end = loop {
        if let Err(end) = stream.next_within(DEADLINE).await {
            break end;
        }
    };
    assert_eq!(end, Silence::Ended);
}

/// Although nothing happens in the room.
#[tokio::test]
async fn realtime_ends_streams_of_a_revoked_key_within_five_seconds() {
    assert_ends_streams(async |root, key| revoke(root, &key.id).await).await;
}

/// The same for a secret that is rotated away.
#[tokio::test]
async fn realtime_ends_streams_of_a_rotated_secret() {
    assert_ends_streams(async |root, key| {
        let rotated = root.act(&format!("/v1/keys/{}/rotate", key.id), json!({ "graceSeconds": 0 })).await;
        assert_eq!(rotated.status, 200, "{}", rotated.text);
    })
    .await;
}

/// And for a key that expires.
#[tokio::test]
async fn realtime_ends_streams_of_a_key_that_expires() {
    assert_ends_streams(async |root, key| {
        let path = format!("/v1/keys/{}", key.id);
        let request = root.request(Method::PATCH, &path).key("expire");
        let expired = request.json(&json!({ "expiresAt": "2020-01-01T00:00:00.000Z" })).send().await;
        assert_eq!(expired.status, 200, "{}", expired.text);
    })
    .await;
}

async fn assert_ends_streams(end: impl AsyncFnOnce(&Client, &Key)) {
    let (api, root, service) = api().await;
    let realtime = launch_with_key(&api, &service).start().await;
    let (first, second) =
        (root.make_key(json!({ "kind": "viewer" })).await, root.make_key(json!({ "kind": "viewer" })).await);
    let client = |token: &str| realtime.client().with_token(token);
    let mut stream = client(&first.token).stream(STREAM).await;
    let mut other = client(&second.token).stream(STREAM).await;
    let _ = (read_until_ready(&mut stream).await, read_until_ready(&mut other).await);
    end(&root, &first).await;
    let mut last = String::new();
    let ending = async {
        loop {
            match stream.next_within(DEADLINE).await {
                Ok(frame) => last = frame.event,
                Err(end) => return end,
            }
        }
    };
    // The limit is five seconds; the test machine may be busy.
    let end = timeout(Duration::from_secs(10), ending).await.expect("the stream ends");
    assert_eq!((end, last.as_str()), (Silence::Ended, "error"));
    assert_eq!(refused(&client(&first.token), STREAM).await, 401);
    order(&root, "Nova", "main").await;
    assert_eq!(other.next_event().await.event, "order_changed", "the stream of another key goes on");
}

/// A realtime service without credentials is as open as its API: until that has a key.
#[tokio::test]
async fn realtime_closes_when_the_first_key_is_made() {
    let api = launch().start().await;
    let realtime = launch_realtime(&api).start().await;
    let anybody = realtime.client();
    let mut open = anybody.stream(STREAM).await;
    let _ = read_until_ready(&mut open).await;
    assert!(anybody.get("/healthz").await.json["source"].is_object());
    let viewer = api.client().make_key(json!({ "kind": "viewer" })).await;
    eventually("strangers are refused", DEADLINE, async || {
        (anybody.request(Method::GET, STREAM).stream().await.err()?.status == 401).then_some(())
    })
    .await;
    let ending = async { while open.next_within(DEADLINE).await.is_ok() {} };
    timeout(DEADLINE, ending).await.expect("streams of strangers end");
    let _ = read_until_ready(&mut anybody.with_token(&viewer.token).stream(STREAM).await).await;
}

/// Of its tenant, if it is of one.
#[tokio::test]
async fn projector_reads_with_the_key_of_a_service() {
    let (api, root, _) = api().await;
    let acme = json!({ "tenantId": "acme", "actorId": "Kai", "roomId": "lab", "itemId": "tea" });
    let _ = root.act("/v1/commands/order", acme).await.data();
    let service = root.make_key(json!({ "kind": "service", "tenantId": "acme" })).await;
    let redis = Redis::start();
    let _projector = launch()
        .subcommand("projector")
        .env("PROJECTOR_EVENT_SOURCE_URL", api.url())
        .env("PROJECTOR_HEALTH_PORT", 0)
        .env("REDIS_URL", redis.url())
        .env("AGENTCAFE_SOURCE_TOKEN", service.token)
        .start()
        .await;
    let keys = eventually("the room is projected", DEADLINE, async || {
        let contents = redis.contents();
        contents.contains_key("acf:room:acme:lab:state").then_some(contents)
    })
    .await;
    assert!(!keys.keys().any(|key| key.contains("room:default")), "{keys:?}");
}
