//! Subscriptions that are disabled, enabled, changed or deleted during a delivery.

use std::time::Duration;

use agentcafe_testkit::{Reaction, Receiver, eventually, json};

use crate::webhook_delivery::{message_subscription, message_texts, recorded};
use crate::webhook_dlq::dlq_entry;
use crate::webhook_subscriptions::{change, delete, subscribe};
use crate::{cafe, say_in};

const DEADLINE: Duration = Duration::from_secs(60);

/// Events before it was disabled are delivered when it is enabled again.
#[tokio::test]
async fn webhook_disable_ends_attempts_and_skips_events_meanwhile() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reaction::status(503).header("retry-after", "1"));
    let mut body = message_subscription(receiver.url("/hook"));
    body["maxRetries"] = json!(10);
    let made = subscribe(&client, body).await;
    say_in(&client, "main", "one").await;
    say_in(&client, "main", "two").await;
    let before = recorded(&client, "", 1).await.len();
    for text in ["three", "four"] {
        let _ = change(&client, &made, json!({"enabled": false})).await.data();
        let tried = receiver.received("/hook").len();
        say_in(&client, "main", text).await;
        receiver.always("/hook", Reaction::status(204));
        if text == "three" {
            assert!(tried <= before + 1, "{tried}");
        }
        let _ = change(&client, &made, json!({"enabled": true})).await.data();
        say_in(&client, "main", &format!("after {text}")).await;
    }
    eventually("the last arrives", DEADLINE, async || {
        message_texts(&receiver.received("/hook"))
            .last()
            .is_some_and(|text| text == "after four")
            .then_some(())
    })
    .await;
    let mut arrived = message_texts(&receiver.received("/hook"));
    arrived.dedup();
    assert_eq!(arrived, ["one", "two", "after three", "after four"]);
}

#[tokio::test]
async fn webhook_created_disabled_delivers_once_enabled() {
    let (mut server, client) = cafe().await;
    let receiver = Receiver::start().await;
    let mut body = message_subscription(receiver.url("/hook"));
    body["enabled"] = json!(false);
    let made = subscribe(&client, body).await;
    say_in(&client, "main", "one").await;
    server.restart().await;
    let client = server.client();
    say_in(&client, "main", "two").await;
    let _ = change(&client, &made, json!({"enabled": true})).await.data();
    say_in(&client, "main", "three").await;
    assert_eq!(message_texts(&receiver.wait("/hook", 1).await), ["three"]);
}

#[tokio::test]
async fn webhook_delete_ends_attempts() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reaction::status(500));
    let mut body = message_subscription(receiver.url("/hook"));
    (body["maxRetries"], body["backoffMs"]) = (json!(10), json!(100));
    let made = subscribe(&client, body).await;
    subscribe(&client, message_subscription(receiver.url("/other"))).await;
    say_in(&client, "main", "one").await;
    receiver.wait("/hook", 1).await;
    let _ = delete(&client, &made).await.data();
    let tried = receiver.received("/hook").len();
    for n in 0..20 {
        say_in(&client, "main", &format!("word {n}")).await;
    }
    receiver.wait("/other", 21).await;
    let later = receiver.received("/hook");
    assert!(later.len() <= tried + 1, "one attempt may have been in progress: {tried} {}", later.len());
    assert!(message_texts(&later).iter().all(|text| text == "one"));
}

#[tokio::test]
async fn webhook_change_applies_to_the_pending_attempt_at_once() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.always("/old", Reaction::status(503).header("retry-after", "600"));
    let made = subscribe(&client, message_subscription(receiver.url("/old"))).await;
    say_in(&client, "main", "one").await;
    recorded(&client, "", 1).await;
    let _ = change(&client, &made, json!({"targetUrl": receiver.url("/new")})).await.data();
    assert_eq!(message_texts(&receiver.wait("/new", 1).await), ["one"]);
    let _ = change(&client, &made, json!({"roomId": "attic"})).await.data();
    say_in(&client, "main", "two").await;
    say_in(&client, "attic", "three").await;
    assert_eq!(message_texts(&receiver.wait("/new", 2).await), ["one", "three"]);
    assert_eq!(receiver.received("/old").len(), 1);
}

/// The event is kept, and no more are sent.
#[tokio::test]
async fn webhook_410_disables_the_subscription() {
    let (_server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.next("/hook", [Reaction::status(410)]);
    let made = subscribe(&client, message_subscription(receiver.url("/hook"))).await;
    for n in 0..5 {
        say_in(&client, "main", &format!("word {n}")).await;
    }
    let entry = dlq_entry(&client, 1).await.remove(0);
    assert_eq!((&entry["error"], &entry["payload"]["sequence"]), (&json!("HTTP 410"), &json!(1)));
    let path = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
    let found = client.get(&path).await.data()["subscription"].clone();
    assert_eq!((&found["enabled"], &found["lastError"]), (&json!(false), &json!("HTTP 410")));
    say_in(&client, "main", "not delivered").await;
    let _ = change(&client, &made, json!({"enabled": true})).await.data();
    say_in(&client, "main", "the last").await;
    let arrived = eventually("it goes on", DEADLINE, async || {
        let arrived = message_texts(&receiver.received("/hook"));
        arrived.last().is_some_and(|text| text == "the last").then_some(arrived)
    })
    .await;
    assert!(!arrived.contains(&"not delivered".to_owned()), "{arrived:?}");
    assert_eq!(arrived.iter().filter(|text| *text == "word 0").count(), 1, "{arrived:?}");
}
