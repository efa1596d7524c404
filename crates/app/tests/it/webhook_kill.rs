//! Webhooks are delivered at least once, also across `kill -9`, and in order per subscription.

use std::collections::HashMap;
use std::time::Duration;

use agentcafe_testkit::{Reaction, Received, Receiver, eventually, json};

use crate::webhook_delivery::{message_subscription, message_texts, recorded};
use crate::webhook_subscriptions::subscribe;
use crate::{cafe, say_in};

const DEADLINE: Duration = Duration::from_secs(180);

/// The received texts, without direct repeats.
fn in_order(received: &[Received]) -> Vec<String> {
    let mut first = Vec::new();
    for text in message_texts(received) {
        if !first.contains(&text) {
            first.push(text);
        }
    }
    first
}

/// The server is killed several times while it delivers and retries. Every event arrives in order; repeats have the
/// same `webhook-id`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_events_all_arrive_across_kills() {
    let (mut server, client) = cafe().await;
    let receiver = Receiver::start().await;
    for path in ["/good", "/moody"] {
        let mut body = message_subscription(receiver.url(path));
        (body["maxRetries"], body["backoffMs"]) = (json!(10), json!(100));
        subscribe(&client, body).await;
    }
    let mut said = Vec::new();
    for round in 0..4 {
        let client = server.client();
        let before = receiver.received("/moody").len();
        let moods = [500, 204, 503, 500, 204, 204, 500, 204];
        receiver.next("/moody", moods.map(Reaction::status));
        for n in 0..15 {
            let text = format!("round {round} word {n}");
            say_in(&client, "main", &text).await;
            said.push(text);
        }
        receiver.wait("/moody", before + 2).await;
        server.restart().await;
    }
    for path in ["/good", "/moody"] {
        eventually("every event arrives", DEADLINE, async || {
            (in_order(&receiver.received(path)).len() == said.len()).then_some(())
        })
        .await;
        let received = receiver.received(path);
        assert_eq!(in_order(&received), said, "{path}");
        let mut ids: HashMap<String, String> = HashMap::new();
        for request in &received {
            let event = request.header("x-agentcafe-event-id").to_owned();
            let id = request.header("webhook-id").to_owned();
            assert_eq!(ids.entry(event).or_insert_with(|| id.clone()), &id);
        }
        assert_eq!(ids.len(), said.len());
        let repeats = received.len() - said.len();
        assert!(repeats <= 16 + 4 * 17, "{path}: {repeats} repeats");
    }
}

/// A retry that is due in ten minutes is due at the same time after a restart, and attempts are counted on.
#[tokio::test]
async fn webhook_retry_schedule_survives_a_kill() {
    let (mut server, client) = cafe().await;
    let receiver = Receiver::start().await;
    receiver.next("/later", [Reaction::status(503).header("retry-after", "600")]);
    receiver.next("/soon", [Reaction::status(503).header("retry-after", "4")]);
    for path in ["/later", "/soon"] {
        subscribe(&client, message_subscription(receiver.url(path))).await;
    }
    say_in(&client, "main", "one").await;
    recorded(&client, "", 2).await;
    server.restart().await;
    let client = server.client();
    let attempts = recorded(&client, "", 3).await;
    assert_eq!((&attempts[0]["attempt"], &attempts[0]["success"]), (&json!(2), &json!(true)));
    assert_eq!((receiver.received("/soon").len(), receiver.received("/later").len()), (2, 1));
}

#[tokio::test]
async fn webhook_delivery_is_not_repeated_after_a_graceful_stop() {
    let (mut server, client) = cafe().await;
    let receiver = Receiver::start().await;
    subscribe(&client, message_subscription(receiver.url("/hook"))).await;
    let said: Vec<String> = (0..40).map(|n| format!("word {n}")).collect();
    for (n, text) in said.iter().enumerate() {
        let client = server.client();
        say_in(&client, "main", text).await;
        if n % 10 == 9 {
            assert!(server.stop().await.success());
            server.restart().await;
        }
    }
    receiver.wait("/hook", said.len()).await;
    assert_eq!(message_texts(&receiver.received("/hook")), said);
}
