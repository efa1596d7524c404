//! Streams that keep their actor present while they are open.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, SHARED_TOKEN, Value, eventually, json};

use crate::websocket_client::Socket;
use crate::{launch, log};

const STREAM: &str = "/v1/streams/market-events";
/// How long an actor stays present: streams refresh it three times as often, also on a busy machine.
const TTL_MS: u64 = 6_000;
/// Within which a presence expires, on a busy machine.
const EXPIRY: Duration = Duration::from_secs(60);

/// The parameters of a stream that keeps an actor present.
fn heartbeat(actor: &str) -> String {
    format!("tenantId=default&roomId=main&cursor=latest&heartbeat=true&viewerActorId={actor}&ttlMs={TTL_MS}")
}

async fn presence(client: &Client, actor: &str) -> Value {
    let path = format!("/v1/presence?roomId=main&actorId={actor}");
    client.get(&path).await.data()["presence"].clone()
}

/// Present from the first frame on, without an event for each refresh; when the stream has ended, the presence expires.
#[tokio::test]
async fn stream_with_heartbeat_keeps_its_actor_present_while_it_is_open() {
    let server = launch().env("PRESENCE_SWEEP_MS", 100).start().await;
    let client = server.client();
    let stream = client.stream(&format!("{STREAM}?{}", heartbeat("Nova"))).await;
    let path = format!("/v1/ws?{}&status=thinking", heartbeat("Kai"));
    let socket = Socket::open(server.address(), &path, &[]).await.expect("it opens");
    let first = [presence(&client, "Nova").await, presence(&client, "Kai").await];
    assert_eq!([&first[0]["status"], &first[1]["status"]], [&json!("idle"), &json!("thinking")]);
    assert_eq!((&first[0]["isActive"], &first[0]["ttlMs"]), (&json!(true), &json!(TTL_MS)));
    for (actor, first) in ["Nova", "Kai"].into_iter().zip(&first) {
        eventually("the first presence would have expired", EXPIRY, async || {
            let now = presence(&client, actor).await;
            (now["lastHeartbeatAt"].as_str() > first["expiresAt"].as_str()).then_some(())
        })
        .await;
    }
    let types = async || {
        let events = log(&client).await;
        let types = events.iter().map(|event| format!("{} {}", event["actorId"], event["type"]));
        types.collect::<Vec<_>>()
    };
    let shown = [r#""Nova" "presence_heartbeat""#, r#""Kai" "presence_heartbeat""#];
    assert_eq!(types().await, shown);
    drop((stream, socket));
    let ended = [r#""Kai" "status_changed""#, r#""Nova" "status_changed""#];
    eventually("both presences expire", EXPIRY, async || {
        let mut types = types().await.split_off(shown.len());
        types.sort();
        (types == ended).then_some(())
    })
    .await;
}

/// As with polls, showing oneself as present is an act, which neither a key that only listens nor `HEAD` does.
#[tokio::test]
async fn stream_with_heartbeat_needs_the_scope_act_and_whom_to_show() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let guest = async |scopes: &[&str]| {
        let body = json!({ "scopes": scopes, "actors": ["Nova"], "rooms": ["main"] });
        root.make_key(body).await.client
    };
    let (listener, actor) = (guest(&["listen"]).await, guest(&["listen", "act"]).await);
    let path = format!("{STREAM}?cursor=latest&roomId=main&heartbeat=true");
    let mut stream = listener.stream(&path).await;
    assert_eq!(stream.next().await.event, "ready");
    assert_eq!(actor.request(Method::HEAD, &path).send().await.status, 200);
    assert_eq!(presence(&root, "Nova").await, Value::Null);
    let mut stream = actor.stream(&path).await;
    assert_eq!(stream.next().await.event, "ready");
    assert_eq!(presence(&root, "Nova").await["isActive"], true, "the actor of the key");
    let foreign = actor.get(&format!("{path}&viewerActorId=Kai")).await;
    assert_eq!(foreign.error(403, "ERR_FORBIDDEN")["field"], "viewerActorId");
    for (query, field) in [
        ("roomId=main&viewerActorId=Nova", "tenantId"),
        ("tenantId=default&viewerActorId=Nova", "roomId"),
        ("tenantId=default&roomId=main", "viewerActorId"),
    ] {
        let refused = root.get(&format!("{STREAM}?heartbeat=true&{query}")).await;
        assert_eq!(refused.error(400, "ERR_MISSING_FIELD")["field"], field, "{query}");
    }
}
