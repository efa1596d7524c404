//! The dead letter queue of webhooks: kept events, and sending them once more.

use std::time::Duration;

use agentcafe_testkit::{Client, Reaction, Receiver, Value, eventually, json};

use crate::webhook_delivery::{message_subscription, recorded};
use crate::webhook_subscriptions::{change, delete, subscribe};
use crate::{cafe, log, say_in};

const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn dlq(client: &Client, query: &str) -> Vec<Value> {
    client.get(&format!("/v1/subscriptions/dlq{query}")).await.data()["dlq"]
        .as_array()
        .expect("a list")
        .clone()
}

pub(crate) async fn dlq_entry(client: &Client, count: usize) -> Vec<Value> {
    eventually("entries are there", DEADLINE, async || {
        Some(dlq(client, "").await).filter(|found| found.len() >= count)
    })
    .await
}

pub(crate) fn replay_path(entry: &Value) -> String {
    format!("/v1/subscriptions/dlq/{}/replay", entry["id"].as_str().expect("an id"))
}

/// The next event is delivered.
#[tokio::test]
async fn webhook_event_goes_to_the_dlq_after_the_last_attempt() {
    let (mut server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.next("/hook", [500, 500, 204].map(Reaction::status));
    let mut body = message_subscription(receiver.url("/hook"));
    body["maxRetries"] = json!(1);
    let made = subscribe(&client, body).await;
    say_in(&client, "main", "one").await;
    say_in(&client, "main", "two").await;
    let entry = dlq_entry(&client, 1).await.remove(0);
    let event = &log(&client).await[0];
    let want = json!({
        "id": entry["id"], "dlqSeq": 1, "subscriptionId": made["id"], "eventId": event["eventId"],
        "eventType": "conversation_message_posted", "tenantId": "default", "roomId": "main", "actorId": "Nova", "payload": event,
        "error": "HTTP 500", "status": "open", "replayCount": 0, "replayedAt": null, "lastReplayError": null,
        "createdAt": entry["createdAt"],
    });
    assert_eq!(entry, want);
    let attempts = recorded(&client, "", 3).await;
    assert_eq!(attempts.iter().map(|attempt| attempt["attempt"].clone()).collect::<Vec<_>>(), [1, 2, 1]);
    server.restart().await;
    let client = server.client();
    assert_eq!(dlq(&client, "?status=open&tenantId=default").await, [want]);
    for none in ["?status=resolved", "?tenantId=acme"] {
        assert!(dlq(&client, none).await.is_empty(), "{none}");
    }
    let _ = client.get("/v1/subscriptions/dlq?status=lost").await.error(400, "ERR_INVALID_ENUM");
    eventually("the depth is measured", DEADLINE, async || {
        client.metrics().await.contains("agentcafe_webhook_dlq_open 1").then_some(())
    })
    .await;
}

/// 202 whether it succeeds or not. A delivered entry is sent again only with `force`; a replay of the request sends
/// nothing.
#[tokio::test]
async fn webhook_dlq_replay_makes_one_attempt() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.next("/hook", [500, 502].map(Reaction::status));
    let mut body = message_subscription(receiver.url("/hook"));
    body["maxRetries"] = json!(0);
    let made = subscribe(&client, body).await;
    say_in(&client, "main", "one").await;
    let entry = dlq_entry(&client, 1).await.remove(0);
    let _ = change(&client, &made, json!({"enabled": false})).await.data();
    let path = replay_path(&entry);
    let failed = client.act(&path, json!({})).await;
    let want = |ok: bool, error: Value| json!({"ok": ok, "dlqId": entry["id"], "eventId": entry["eventId"], "subscriptionId": made["id"], "error": error});
    assert_eq!((failed.status, &failed.data()["replay"]), (202, &want(false, json!("HTTP 502"))));
    let kept = dlq(&client, "").await;
    assert_eq!(kept.len(), 1);
    assert_eq!(
        json!([kept[0]["status"], kept[0]["replayCount"], kept[0]["lastReplayError"]]),
        json!(["open", 1, "HTTP 502"])
    );
    let arrived = client.post(&path, "the key", json!({})).await;
    assert_eq!((arrived.status, &arrived.data()["replay"]), (202, &want(true, json!(null))));
    let again = client.post(&path, "the key", json!({})).await;
    assert_eq!((&again.text, again.header("x-idempotent-replay")), (&arrived.text, Some("true")));
    let requests = receiver.received("/hook");
    assert_eq!(requests.len(), 3);
    let last = &requests[2];
    assert_eq!(last.header("x-agentcafe-delivery-source"), "dlq_replay");
    assert_eq!(last.header("webhook-id"), requests[0].header("webhook-id"));
    assert_eq!(last.event(), requests[0].event());
    let resolved = client.act(&path, json!({})).await;
    assert_eq!(resolved.error(409, "ERR_CONFLICT")["dlqId"], entry["id"]);
    let _ = client.act(&path, json!({"force": "yes"})).await.error(400, "ERR_VALIDATION");
    assert_eq!(client.act(&path, json!({"force": true})).await.data()["replay"]["ok"], true);
    let kept = dlq(&client, "?status=resolved").await.remove(0);
    assert_eq!((&kept["replayCount"], &kept["lastReplayError"]), (&json!(3), &json!(null)));
    assert!(kept["replayedAt"].is_string());
    let attempts = recorded(&client, "", 4).await;
    assert_eq!((&attempts[0]["source"], &attempts[0]["dlqId"]), (&json!("dlq_replay"), &entry["id"]));
}

/// Also of another tenant's entry and of a deleted subscription's. The deliveries of a deleted subscription are still
/// listed.
#[tokio::test]
async fn webhook_dlq_replay_of_an_unknown_entry_is_404() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reaction::status(500));
    let mut body = message_subscription(receiver.url("/hook"));
    body["maxRetries"] = json!(0);
    let made = subscribe(&client, body).await;
    say_in(&client, "main", "one").await;
    let entry = dlq_entry(&client, 1).await.remove(0);
    let path = replay_path(&entry);
    for (path, body) in [
        (path.clone(), json!({"tenantId": "acme"})),
        (format!("{path}?tenantId=acme"), json!({})),
        ("/v1/subscriptions/dlq/nothing/replay".to_owned(), json!({})),
        ("/v1/subscriptions/dlq/0190b5a0-0000-7000-8000-000000000000/replay".to_owned(), json!({})),
    ] {
        let answer = client.act(&path, body).await;
        assert!(answer.error(404, "ERR_NOT_FOUND")["dlqId"].is_string(), "{path}");
    }
    let _ = delete(&client, &made).await.data();
    let answer = client.act(&path, json!({})).await;
    assert_eq!(answer.error(404, "ERR_NOT_FOUND")["dlqId"], entry["id"]);
    assert_eq!((dlq(&client, "").await.len(), receiver.received("/hook").len()), (1, 1));
    assert_eq!(recorded(&client, "", 1).await.len(), 1);
}
