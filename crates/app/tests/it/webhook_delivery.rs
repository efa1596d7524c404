//! Webhook deliveries: body, signatures, order, retries, and independence of targets.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_testkit::{Client, Reaction, Received, Receiver, Value, eventually, json, store_under_test};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Notify;

use crate::read_only_database::ReadOnlyDatabase;
use crate::webhook_subscriptions::subscribe;
use crate::{cafe, launch, log, say_in};

const DEADLINE: Duration = Duration::from_secs(60);

/// The texts of the received messages, in order.
pub(crate) fn message_texts(received: &[Received]) -> Vec<String> {
    let text =
        |request: &Received| request.event()["payload"]["conversation"]["text"].as_str().map(str::to_owned);
    received.iter().filter_map(text).collect()
}

/// A subscription to messages only, so that counts are simple.
pub(crate) fn message_subscription(url: String) -> Value {
    json!({"targetUrl": url, "eventTypes": ["conversation_message_posted"], "backoffMs": 100})
}

pub(crate) async fn deliveries(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/subscriptions/deliveries{query}")).await;
    answer.data()["deliveries"].as_array().expect("a list").clone()
}

/// Waits for this many recorded deliveries; newest first.
pub(crate) async fn recorded(client: &Client, query: &str, count: usize) -> Vec<Value> {
    eventually("deliveries are recorded", DEADLINE, async || {
        Some(deliveries(client, query).await).filter(|found| found.len() >= count)
    })
    .await
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .expect("a key may have any length")
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

/// The signature of Standard Webhooks.
fn standard_signature(secret: &str, id: &str, time: &str, body: &[u8]) -> String {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).expect("base64"),
        None => secret.as_bytes().to_vec(),
    };
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
    format!("v1,{}", STANDARD.encode(hmac(&key, &signed)))
}

/// What deliveries are compared with is the example of the specification's libraries.
#[test]
fn webhook_signature_is_that_of_standard_webhooks() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signature =
        standard_signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

pub(crate) fn assert_signed(request: &Received, secret: &str) {
    let hex: String =
        hmac(secret.as_bytes(), &request.body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.header("x-agentcafe-signature"), hex);
    let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    assert_eq!(request.header("webhook-signature"), standard_signature(secret, id, time, &request.body));
    assert!(time.parse::<u64>().is_ok() && !id.is_empty() && !id.contains('.'), "{id} {time}");
}

/// The body is the stored event. With generated and given secrets, and after a secret is replaced.
#[tokio::test]
async fn webhook_delivery_is_signed_both_ways() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    let made = subscribe(&client, message_subscription(receiver.url("/made"))).await;
    let mut given = message_subscription(receiver.url("/given"));
    given["secret"] = json!("correct horse battery staple");
    let given = subscribe(&client, given).await;
    say_in(&client, "main", "one").await;
    for (path, subscription) in [("/made", &made), ("/given", &given)] {
        let request = &receiver.wait(path, 1).await[0];
        assert_signed(request, subscription["secret"].as_str().unwrap());
        let event = &log(&client).await[0];
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        assert_eq!(body, format!("{{\"event\":{}}}", text_of(&client).await));
        for (name, want) in [
            ("content-type", "application/json"),
            ("x-agentcafe-event-id", event["eventId"].as_str().unwrap()),
            ("x-agentcafe-event-type", "conversation_message_posted"),
            ("x-agentcafe-subscription-id", subscription["id"].as_str().unwrap()),
            ("x-agentcafe-delivery-source", "live"),
        ] {
            assert_eq!(request.header(name), want, "{name}");
        }
    }
    assert_ne!(
        receiver.received("/made")[0].header("webhook-id"),
        receiver.received("/given")[0].header("webhook-id")
    );
    let _ = crate::webhook_subscriptions::change(&client, &made, json!({"secret": "another"})).await.data();
    say_in(&client, "main", "two").await;
    assert_signed(&receiver.wait("/made", 2).await[1], "another");
}

/// The bytes of the first event in the log.
async fn text_of(client: &Client) -> String {
    let page = client.get("/v1/events?limit=1&types=conversation_message_posted").await.text;
    let (_, rest) = page.split_once("\"events\":[").expect("a list of events");
    rest[..rest.rfind("],\"").expect("its end")].to_owned()
}

/// Without a room: all rooms of the tenant. Only events after the subscription's creation.
#[tokio::test]
async fn webhook_selects_events_by_tenant_room_type_and_actor() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    say_in(&client, "main", "before").await;
    for (path, more) in [
        ("/all", json!({})),
        ("/attic", json!({"roomId": "attic"})),
        ("/kai", json!({"actorId": "Kai"})),
        ("/acme", json!({"tenantId": "acme"})),
        ("/mentions", json!({"eventTypes": ["mention_created", "no_such_type"]})),
        ("/off", json!({"enabled": false})),
    ] {
        let mut body = message_subscription(receiver.url(path));
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        subscribe(&client, body).await;
    }
    for (tenant, room, actor, text) in [
        ("default", "main", "Nova", "hey @Bo"),
        ("default", "attic", "Nova", "up here"),
        ("acme", "attic", "Nova", "elsewhere"),
        ("default", "cellar", "Kai", "down here"),
        ("acme", "main", "Kai", "the end"),
    ] {
        let body = json!({"tenantId": tenant, "roomId": room, "actorId": actor, "text": text});
        let _ = client.act("/v1/commands/say", body).await.data();
    }
    let wants: [(&str, &[&str]); 4] = [
        ("/all", &["hey @Bo", "up here", "down here"]),
        ("/attic", &["up here"]),
        ("/kai", &["down here"]),
        ("/acme", &["elsewhere", "the end"]),
    ];
    for (path, want) in wants {
        assert_eq!(message_texts(&receiver.wait(path, want.len()).await), want, "{path}");
    }
    assert_eq!(receiver.wait("/mentions", 1).await[0].event()["payload"]["mentionedActorId"], "Bo");
    for (path, want) in [("/mentions", 1), ("/off", 0), ("/all", 3), ("/attic", 1), ("/kai", 1), ("/acme", 2)]
    {
        assert_eq!(receiver.received(path).len(), want, "{path}");
    }
}

/// Every response but 2xx is retried, redirects are not followed, and the subscription has its last status.
#[tokio::test]
async fn webhook_attempts_are_recorded_with_their_status() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    let redirect = Reaction::status(307).header("location", &receiver.url("/elsewhere"));
    receiver.next("/hook", [redirect, Reaction::status(404), Reaction::status(500)]);
    let made = subscribe(&client, message_subscription(receiver.url("/hook"))).await;
    say_in(&client, "main", "one").await;
    let attempts = recorded(&client, "", 4).await;
    let event = &log(&client).await[0];
    for (at, (attempt, status)) in attempts.iter().rev().zip([307, 404, 500, 204]).enumerate() {
        let error = if status == 204 { json!(null) } else { json!(format!("HTTP {status}")) };
        let want = json!({
            "id": attempt["id"], "deliverySeq": at + 1, "subscriptionId": made["id"], "eventId": event["eventId"],
            "eventType": "conversation_message_posted", "tenantId": "default", "roomId": "main", "actorId": "Nova",
            "success": status == 204, "attempt": at + 1, "source": "live", "dlqId": null, "durationMs": attempt["durationMs"],
            "statusCode": status, "error": error, "createdAt": attempt["createdAt"],
        });
        assert_eq!(attempt, &want);
    }
    let requests = receiver.received("/hook");
    assert!(requests.iter().all(|request| request.header("webhook-id") == requests[0].header("webhook-id")));
    assert!(receiver.received("/elsewhere").is_empty());
    let path = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
    let found = client.get(&path).await.data()["subscription"].clone();
    assert!(found["lastDeliveredAt"].is_string() && found["lastError"].is_null(), "{found}");
    assert_eq!(found["updatedAt"], found["lastDeliveredAt"]);
    for (query, want) in [
        (format!("?subscriptionId={}", made["id"].as_str().unwrap()), 4),
        (format!("?eventId={}", event["eventId"].as_str().unwrap()), 4),
        ("?success=true".to_owned(), 1),
        ("?success=no&limit=2".to_owned(), 2),
        ("?tenantId=acme".to_owned(), 0),
        ("?subscriptionId=nothing".to_owned(), 0),
    ] {
        assert_eq!(deliveries(&client, &query).await.len(), want, "{query}");
    }
    let want = json!({"processed": 1, "delivered": 1, "failed": 0, "retried": 3, "dlq": 0, "inFlight": 0, "queued": 0});
    // A recorded attempt may not be counted yet.
    let health = eventually("it is counted", DEADLINE, async || {
        Some(client.health().await).filter(|health| health["webhooks"] == want)
    })
    .await;
    assert_eq!(health["storage"]["subscriptions"], store_under_test());
    let metrics = client.metrics().await;
    assert!(metrics.contains("agentcafe_webhook_deliveries_total{result=\"retried\"} 3"), "{metrics}");
    assert!(metrics.contains("agentcafe_follower_lag{name=\"webhooks\"}"), "{metrics}");
}

/// Each target gets its events in order, also if it is slow or sends `Retry-After`.
#[tokio::test]
async fn webhook_targets_that_fail_or_hang_do_not_delay_others() {
    let server = launch().env("WEBHOOK_MAX_CONCURRENCY", 1).start().await;
    let client = server.client();
    let receiver = Receiver::start().await;
    receiver.always("/hang", Reaction::hang());
    receiver.always("/fail", Reaction::status(500));
    receiver.always("/slow", Reaction::status(200).after(Duration::from_millis(700)));
    receiver.always("/later", Reaction::status(503).header("retry-after", "600"));
    for path in ["/hang", "/hang", "/hang", "/fail", "/slow", "/later", "/good"] {
        let mut body = message_subscription(receiver.url(path));
        body["timeoutMs"] = json!(30_000);
        body["maxRetries"] = json!(10);
        subscribe(&client, body).await;
    }
    let said: Vec<String> = (0..30).map(|n| format!("word {n}")).collect();
    for text in &said {
        say_in(&client, "main", text).await;
    }
    assert_eq!(message_texts(&receiver.wait("/good", 30).await), said);
    assert_eq!(receiver.wait("/hang", 3).await.len(), 3, "one attempt of each is in progress");
    assert_eq!(receiver.wait("/later", 1).await.len(), 1, "Retry-After is honoured");
    let slow = message_texts(&receiver.wait("/slow", 3).await);
    assert_eq!(slow, said[..slow.len()]);
    let fails = receiver.wait("/fail", 3).await;
    assert!(
        message_texts(&fails).iter().all(|text| *text == said[0]),
        "the first event comes first, repeated or not"
    );
}

#[tokio::test]
async fn webhook_timeout_and_refused_connection_are_recorded_as_failures() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.always("/hang", Reaction::hang());
    let mut hang = message_subscription(receiver.url("/hang"));
    (hang["timeoutMs"], hang["maxRetries"]) = (json!(500), json!(0));
    let hang = subscribe(&client, hang).await;
    let mut gone = message_subscription("http://127.0.0.1:1/".to_owned());
    gone["maxRetries"] = json!(0);
    let gone = subscribe(&client, gone).await;
    say_in(&client, "main", "one").await;
    for (subscription, want) in [(hang, "timeout"), (gone, "the target cannot be reached")] {
        let id = subscription["id"].as_str().unwrap();
        let attempts = recorded(&client, &format!("?subscriptionId={id}"), 1).await;
        assert_eq!((&attempts[0]["error"], &attempts[0]["statusCode"]), (&json!(want), &json!(null)));
        let found = client.get(&format!("/v1/subscriptions/{id}")).await;
        assert_eq!(found.data()["subscription"]["lastError"], want);
    }
}

/// It is recorded when the store is writable again.
#[tokio::test]
async fn webhook_delivery_that_cannot_be_recorded_is_not_repeated() {
    let database = ReadOnlyDatabase::new();
    let server = launch().data_dir(database.data()).start().await;
    let client = server.client();
    let receiver = Receiver::start().await;
    let let_go = Arc::new(Notify::new());
    receiver.next("/hook", [Reaction::status(200).held(&let_go)]);
    subscribe(&client, message_subscription(receiver.url("/hook"))).await;
    say_in(&client, "main", "one").await;
    receiver.wait("/hook", 1).await;
    database.forbid_writing();
    let_go.notify_one();
    eventually("recording fails", DEADLINE, async || {
        server.log().contains("deliveries are not recorded yet").then_some(())
    })
    .await;
    database.allow_writing();
    client.until_ready().await;
    let attempts = recorded(&client, "", 1).await;
    assert_eq!((&attempts[0]["attempt"], &attempts[0]["success"]), (&json!(1), &json!(true)));
    say_in(&client, "main", "two").await;
    assert_eq!(message_texts(&receiver.wait("/hook", 2).await), ["one", "two"]);
    assert_eq!(recorded(&client, "", 2).await.len(), 2);
}
