//! Moderation: each reason, its error, and which actions are exempt.

use agentcafe_testkit::{Answer, Launch, Value, json};

use crate::{launch, log, say};

/// Checks that Nova's action was blocked for this reason, with these details and a `Retry-After` within `retry_ms`.
fn blocked(
    answer: &Answer,
    action: &str,
    reason: &str,
    details: Value,
    retry_ms: std::ops::RangeInclusive<i64>,
) {
    let got = answer.error(429, "ERR_MODERATION_BLOCKED");
    let who = json!({"tenantId": "default", "roomId": "main", "actorId": "Nova", "source": "api"});
    let what =
        json!({"action": action, "reasonCode": reason, "correlationId": answer.header("x-correlation-id")});
    for want in [who, what, details] {
        for (name, want) in want.as_object().into_iter().flatten() {
            assert_eq!(&got[name], want, "{name}: {got}");
        }
    }
    let retry_after_ms = got["retryAfterMs"].as_i64().unwrap_or_else(|| panic!("no retryAfterMs: {got}"));
    assert!(retry_ms.contains(&retry_after_ms), "{retry_after_ms} not in {retry_ms:?}");
    let seconds: i64 = answer.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or_default();
    assert!(
        seconds >= 1 && seconds * 1_000 >= retry_after_ms,
        "Retry-After {seconds} for {retry_after_ms} ms"
    );
}

fn cooling(ms: u64) -> Launch {
    launch().env("MOD_COOLDOWN_MS", ms)
}

/// The interval is per actor and room.
#[tokio::test]
async fn moderation_blocks_actions_within_the_minimum_interval() {
    let server = launch().env("MOD_MIN_ACTION_INTERVAL_MS", 60_000).start().await;
    let client = server.client();
    assert_eq!(say(&client, "Nova", "one").await.status, 202);
    let answer = say(&client, "Nova", "two").await;
    blocked(&answer, "say", "MOD_MIN_INTERVAL", json!({"minIntervalMs": 60_000}), 1..=60_000);
    for other in [
        json!({"actorId": "Kai"}),
        json!({"actorId": "Nova", "roomId": "attic"}),
        json!({"actorId": "Nova", "tenantId": "acme"}),
    ] {
        assert_eq!(client.act("/v1/commands/enter", other.clone()).await.status, 202, "{other}");
    }
    assert_eq!(
        log(&client).await.iter().filter(|event| event["type"] == "conversation_message_posted").count(),
        1
    );
}

/// During the cooldown, the reason is the cooldown.
#[tokio::test]
async fn moderation_starts_a_cooldown_after_too_many_actions() {
    let server = cooling(40_000).env("MOD_MAX_ACTIONS_PER_WINDOW", 2).start().await;
    let client = server.client();
    assert_eq!(client.act("/v1/commands/enter", json!({"actorId": "Nova"})).await.status, 202);
    assert_eq!(say(&client, "Nova", "hi").await.status, 202);
    let answer = client.act("/v1/commands/order", json!({"actorId": "Nova", "itemId": "tea"})).await;
    let details = json!({"windowMs": 60_000, "maxActionsPerWindow": 2, "cooldownMs": 40_000});
    blocked(&answer, "order", "MOD_RATE_LIMIT", details, 40_000..=60_001);
    let answer = client.act("/v1/conversations/messages", json!({"actorId": "Nova", "text": "hi"})).await;
    blocked(&answer, "conversation_message", "MOD_COOLDOWN", json!({}), 1..=40_000);
    let body = json!({"actorId": "Nova", "intent": "navigate_to", "x": 1, "y": 1});
    let answer = client.act("/v1/intents/execute", body).await;
    blocked(&answer, "intent:navigate_to", "MOD_COOLDOWN", json!({}), 1..=40_000);
}

/// Texts are compared without their whitespace, across all commands that post a text.
#[tokio::test]
async fn moderation_blocks_repeated_texts() {
    let server = cooling(0).env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 2).start().await;
    let client = server.client();
    assert_eq!(say(&client, "Nova", "Hello  World").await.status, 202);
    let message =
        |text: &str| client.act("/v1/conversations/messages", json!({"actorId": "Nova", "text": text}));
    assert_eq!(message(" hello\tworld ").await.status, 202);
    let details = json!({"windowMs": 60_000, "maxRepeatedTextPerWindow": 2});
    blocked(
        &say(&client, "Nova", "HELLO WORLD").await,
        "say",
        "MOD_REPEAT_TEXT",
        details.clone(),
        1..=60_001,
    );
    blocked(&message("hello world").await, "conversation_message", "MOD_REPEAT_TEXT", details, 1..=60_001);
    assert_eq!(
        say(&client, "Nova", "hello, world").await.status,
        202,
        "another text; a cooldown of 0 is off"
    );
}

#[tokio::test]
async fn moderation_exempts_leave_presence_acks_and_reads() {
    let server =
        launch().env("MOD_MIN_ACTION_INTERVAL_MS", 60_000).env("MOD_MAX_ACTIONS_PER_WINDOW", 1).start().await;
    let client = server.client();
    assert_eq!(client.act("/v1/commands/enter", json!({"actorId": "Nova"})).await.status, 202);
    let _ = say(&client, "Nova", "hi").await.error(429, "ERR_MODERATION_BLOCKED");
    for _ in 0..3 {
        assert_eq!(client.act("/v1/presence/heartbeat", json!({"actorId": "Nova"})).await.status, 202);
        assert_eq!(
            client.act("/v1/inbox/ack", json!({"actorId": "Nova", "upToCursor": 1})).await.status,
            200
        );
        assert_eq!(client.act("/v1/commands/leave", json!({"actorId": "Nova"})).await.status, 202);
    }
}

#[tokio::test]
async fn moderation_counts_neither_refused_actions_nor_replays() {
    let server = launch().env("MOD_MAX_ACTIONS_PER_WINDOW", 2).start().await;
    let client = server.client();
    for _ in 0..3 {
        let _ = say(&client, "Nova", "").await.error(400, "ERR_MISSING_FIELD");
        let body = json!({"actorId": "Nova", "text": "hi", "causationId": 5});
        let _ = client.act("/v1/commands/say", body).await.error(400, "ERR_VALIDATION");
        let body = json!({"actorId": "Nova", "intent": "dance"});
        let _ = client.act("/v1/intents/execute", body).await.error(404, "ERR_UNSUPPORTED_ACTION");
    }
    for _ in 0..4 {
        let body = json!({"actorId": "Nova", "text": "once"});
        assert_eq!(client.post("/v1/commands/say", "k", body).await.status, 202);
    }
    assert_eq!(say(&client, "Nova", "twice").await.status, 202);
    let _ = say(&client, "Nova", "thrice").await.error(429, "ERR_MODERATION_BLOCKED");
}

#[tokio::test]
async fn moderation_block_has_no_effect_and_leaves_the_key_free() {
    let server = cooling(0).env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1).start().await;
    let client = server.client();
    assert_eq!(say(&client, "Nova", "same").await.status, 202);
    let before = log(&client).await;
    let blocked = client.post("/v1/commands/say", "k", json!({"actorId": "Nova", "text": "same"})).await;
    let _ = blocked.error(429, "ERR_MODERATION_BLOCKED");
    assert_eq!(log(&client).await, before);
    let answer = client.post("/v1/commands/say", "k", json!({"actorId": "Nova", "text": "other"})).await;
    assert_eq!((answer.status, answer.header("x-idempotent-replay")), (202, None));
}

#[tokio::test]
async fn moderation_defaults_are_shown_by_health_and_enforced() {
    let names =
        ["MOD_MIN_ACTION_INTERVAL_MS", "MOD_MAX_ACTIONS_PER_WINDOW", "MOD_MAX_REPEATED_TEXT_PER_WINDOW"];
    let server = names.iter().fold(launch(), |launch, name| launch.without(name)).start().await;
    let client = server.client();
    let want = json!({"windowMs": 60_000, "maxActionsPerWindow": 40, "maxRepeatedTextPerWindow": 4,
        "minActionIntervalMs": 150, "cooldownMs": 2_000});
    assert_eq!(client.get("/healthz").await.json["moderation"], want);
    let bursts = (0..5).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { say(&client, "Nova", &format!("burst {n}")).await })
    });
    let mut accepted = 0;
    for answer in bursts.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        match answer.status {
            202 => accepted += 1,
            _ => assert_eq!(answer.error(429, "ERR_MODERATION_BLOCKED")["reasonCode"], "MOD_MIN_INTERVAL"),
        }
    }
    assert!(accepted >= 1);
}
