//! Tickets: a browser's `EventSource` or WebSocket opens one stream with one, without a key in the URL.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::time::Duration;

use agentcafe_testkit::{Client, Key, Method, SHARED_TOKEN, Server, Silence, Value, json};
use tokio::time::timeout;

use crate::launch;
use crate::websocket_client::{End, Socket};

const STREAM: &str = "/v1/streams/market-events";
/// Within which a stream ends after its key was revoked, and some more on a busy machine.
const REVOKED: Duration = Duration::from_secs(15);

/// A server, a client with the shared token, and a key that listens in the room `main`.
async fn cafe_with_listener() -> (Server, Client, Key) {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let listener = root.make_key(json!({ "kind": "viewer", "rooms": ["main"] })).await;
    (server, root, listener)
}

/// A new ticket of this client.
pub(crate) async fn ticket(client: &Client, path: &str, query: Value) -> String {
    let issued = client.act("/v1/tickets", json!({ "path": path, "query": query })).await;
    issued.data()["ticket"].as_str().unwrap().to_owned()
}

async fn status(client: &Client, method: Method, path: &str) -> u16 {
    match client.request(method, path).stream().await {
        Ok(_) => 200,
        Err(refused) => refused.status,
    }
}

/// Whatever node issued it. The order of the parameters does not matter.
#[tokio::test]
async fn ticket_opens_one_stream_once() {
    let (server, root, listener) = cafe_with_listener().await;
    let browser = server.client().lenient();
    let query = json!({ "cursor": 0, "types": "order_changed,x", "ro om": "a&b" });
    let ticket = ticket(&listener.client, STREAM, query).await;
    assert!(ticket.starts_with("cafet_") && !ticket.contains(&listener.token), "{ticket}");
    let right = format!("{STREAM}?ro+om=a%26b&ticket={ticket}&types=order_changed%2Cx&cursor=0");
    for (method, path) in [
        (Method::GET, format!("{STREAM}?ticket={ticket}")),
        (Method::GET, format!("{right}&tenantId=other")),
        (Method::GET, right.replace(STREAM, "/v1/events/stream")),
        (Method::GET, right.replace(STREAM, "/v1/events")),
        (Method::GET, right.replace(&ticket, "cafet_wrong")),
        (Method::HEAD, right.clone()),
    ] {
        assert_eq!(status(&browser, method.clone(), &path).await, 401, "{method} {path}");
    }
    let mut stream = browser.stream(&right).await;
    let ready = stream.next().await.data;
    assert_eq!((&ready["tenantId"], &ready["roomId"]), (&json!("default"), &json!("main")), "of the key");
    let _ = root.act("/v1/commands/order", json!({ "actorId": "Nova", "itemId": "tea" })).await.data();
    assert_eq!(stream.next_event().await.event, "order_changed");
    assert_eq!(status(&browser, Method::GET, &right).await, 401, "it is used up");
}

/// The shared token gets tickets as well, and whoever needs no token.
#[tokio::test]
async fn ticket_opens_a_websocket() {
    let (server, root, listener) = cafe_with_listener().await;
    for client in [&listener.client, &root] {
        let path = format!(
            "/v1/ws?roomId=main&ticket={}",
            ticket(client, "/v1/ws", json!({ "roomId": "main" })).await
        );
        let mut socket = Socket::open(server.address(), &path, &[]).await.unwrap();
        assert_eq!(socket.next().await.event, "ready");
        assert_eq!(Socket::open(server.address(), &path, &[]).await.map(drop), Err(Some(401)));
    }
}

/// What a holder of an ended key or secret has open ends: its streams, sockets and polls, with tickets and without; so does what a
/// ticket would open. Kind: a secret in wrong hands outlives what its owner did about it.
async fn assert_ends_everything(end: impl AsyncFnOnce(&Client, &Key)) {
    let (server, root, listener) = cafe_with_listener().await;
    let (browser, key) = (server.client(), &listener.client);
    let path = async || format!("{STREAM}?ticket={}", ticket(key, STREAM, json!({})).await);
    let (mut stream, unused) = (browser.stream(&path().await).await, path().await);
    let mut own = key.stream(STREAM).await;
    let socket_ticket = ticket(key, "/v1/ws", json!({})).await;
    let mut socket =
        Socket::open(server.address(), &format!("/v1/ws?ticket={socket_ticket}"), &[]).await.unwrap();
    end(&root, &listener).await;
    for stream in [&mut stream, &mut own] {
        let end = loop {
            if let Err(end) = stream.next_within(REVOKED).await {
                break end;
            }
        };
        assert_eq!(end, Silence::Ended);
    }
    let closed = loop {
        if let Err(end) = socket.try_next().await {
            break end;
        }
    };
    assert_eq!(closed, End::Closed(Some(1008)));
    assert_eq!(status(&browser, Method::GET, &unused).await, 401);
}

#[tokio::test]
async fn ticket_is_worth_nothing_once_its_key_is_revoked() {
    assert_ends_everything(async |root, key| {
        let revoke = root.request(Method::DELETE, &format!("/v1/keys/{}", key.id)).key("revoke");
        assert_eq!(revoke.send().await.status, 200);
    })
    .await;
}

/// The new secret opens streams meanwhile.
#[tokio::test]
async fn ticket_is_worth_nothing_once_its_secret_is_rotated_away() {
    assert_ends_everything(async |root, key| {
        let path = format!("/v1/keys/{}/rotate", key.id);
        let rotated = root.act(&path, json!({ "graceSeconds": 0 })).await;
        let renewed = key.client.clone().with_token(rotated.data()["token"].as_str().unwrap());
        assert_eq!(renewed.stream(STREAM).await.next().await.event, "ready");
    })
    .await;
}

/// Neither the log, nor a replay, nor the trace shows a ticket.
#[tokio::test]
async fn ticket_is_shown_once_and_never_logged() {
    let mut server = launch().with_shared_token().env("AGENTCAFE_LOG", "debug").start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let body = json!({ "path": STREAM });
    let issued = root.post("/v1/tickets", "once", body.clone()).await;
    let ticket = issued.data()["ticket"].as_str().unwrap().to_owned();
    assert!(issued.data()["expiresAt"].is_string());
    let replay = root.post("/v1/tickets", "once", body).await;
    assert_eq!(
        (&replay.data()["ticket"], replay.header("x-idempotent-replay")),
        (&Value::Null, Some("true"))
    );
    let trace = issued.data()["correlationId"].as_str().unwrap();
    let trace = root.get(&format!("/v1/traces/{trace}")).await;
    assert!(trace.status == 200 && !trace.text.contains(&ticket), "{}", trace.text);
    assert_eq!(status(&server.client(), Method::GET, &format!("{STREAM}?ticket={ticket}")).await, 200);
    assert!(server.stop().await.success());
    assert!(!server.log().contains(&ticket), "{}", server.log());
}

#[tokio::test]
async fn ticket_fields_are_validated() {
    let (_server, root, listener) = cafe_with_listener().await;
    for (body, code) in [
        (json!({}), "ERR_MISSING_FIELD"),
        (json!({ "path": "/v1/inbox" }), "ERR_INVALID_ENUM"),
        (json!({ "path": STREAM, "query": "roomId=main" }), "ERR_VALIDATION"),
        (json!({ "path": STREAM, "query": { "roomId": ["main"] } }), "ERR_VALIDATION"),
        (json!({ "path": STREAM, "query": { "x": "x".repeat(5_000) } }), "ERR_OUT_OF_BOUNDS"),
    ] {
        let _ = listener.client.act("/v1/tickets", body).await.error(400, code);
    }
    let inbox = root.make_key(json!({ "scopes": ["inbox"], "actors": ["Nova"] })).await;
    let refused = inbox.client.act("/v1/tickets", json!({ "path": STREAM })).await;
    assert_eq!(refused.error(403, "ERR_FORBIDDEN")["scope"], "listen");
    let redeem = json!({ "ticket": "cafet_x", "path": STREAM });
    let refused = listener.client.act("/v1/tickets/redeem", redeem.clone()).await;
    assert_eq!(refused.error(403, "ERR_FORBIDDEN")["scope"], "follow");
    let _ = root.act("/v1/tickets/redeem", redeem).await.error(404, "ERR_NOT_FOUND");
}

/// What it is bound to, without its secrets. The shared token is bound to nothing.
#[tokio::test]
async fn own_key_is_shown_to_every_caller() {
    let (_server, root, listener) = cafe_with_listener().await;
    let own = listener.client.get("/v1/keys/self").await;
    let key = &own.data()["key"];
    assert_eq!((&key["keyId"], &key["tenantId"]), (&json!(listener.id), &json!("default")));
    assert_eq!((&key["rooms"], &key["scopes"]), (&json!(["main"]), &json!(["listen"])));
    assert!(!own.text.contains(&listener.token[20..]), "{}", own.text);
    assert_eq!(root.get("/v1/keys/self").await.data(), &json!({ "key": null, "credentialId": null }));
}

#[tokio::test]
async fn live_keys_are_those_of_the_callers_tenant() {
    let (_server, root, listener) = cafe_with_listener().await;
    let service = root.make_key(json!({ "kind": "service" })).await;
    let foreign = root.make_key(json!({ "kind": "viewer", "tenantId": "acme" })).await;
    let ended = root.make_key(json!({ "kind": "viewer" })).await;
    let credential = async |key: &Key| {
        let own = key.client.get("/v1/keys/self").await;
        own.data()["credentialId"].as_str().unwrap().to_owned()
    };
    let [own, other, rotated, revoked] = [
        credential(&listener).await,
        credential(&foreign).await,
        credential(&service).await,
        credential(&ended).await,
    ];
    let revoke = root.request(Method::DELETE, &format!("/v1/keys/{}", ended.id)).key("revoke");
    assert_eq!(revoke.send().await.status, 200);
    let renewed = root.act(&format!("/v1/keys/{}/rotate", service.id), json!({ "graceSeconds": 0 })).await;
    let service = service.client.with_token(renewed.data()["token"].as_str().unwrap());
    let path =
        format!("/v1/keys/live?credentialIds={own},{other},{rotated},{revoked},nobody,{}", listener.id);
    assert_eq!(service.get(&path).await.data(), &json!({ "liveCredentialIds": [own] }));
    assert_eq!(root.get(&path).await.data(), &json!({ "liveCredentialIds": [own, other] }));
    assert_eq!(listener.client.get(&path).await.error(403, "ERR_FORBIDDEN")["scope"], "follow");
}

/// Kind: what was open to everybody outlives the first key. Also tickets that were made before.
#[tokio::test]
async fn streams_and_tickets_without_a_key_end_when_the_first_key_is_made() {
    let server = launch().start().await;
    let anybody = server.client();
    let path = "/v1/streams/market-events?roomId=main";
    let mut stream = anybody.stream(path).await;
    assert_eq!(stream.next().await.event, "ready");
    let early = ticket(&anybody, STREAM, json!({ "roomId": "main" })).await;
    let admin = anybody.make_key(json!({ "kind": "admin" })).await;
    let ending = async { while stream.next_within(REVOKED).await.is_ok() {} };
    timeout(REVOKED, ending).await.unwrap();
    assert_eq!(status(&anybody, Method::GET, &format!("{path}&ticket={early}")).await, 401);
    assert_eq!(admin.client.get("/v1/rooms").await.status, 200);
}

/// Kind: a secret in a URL stays in logs and histories.
#[tokio::test]
async fn key_in_a_url_does_not_count() {
    let (server, _, key) = cafe_with_listener().await;
    let in_url = server.client().get(&format!("/v1/events?roomId=main&apiKey={}", key.token)).await;
    let _ = in_url.error(401, "ERR_FORBIDDEN");
    assert_eq!(key.client.get("/v1/events?roomId=main").await.status, 200);
}
