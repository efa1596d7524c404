//! Access to private tables: who may act, with which features, on how many seats.

use std::sync::Arc;

use agentcafe_testkit::{eventually, json};
use tokio::task::JoinSet;

use crate::table_fixtures::{LATER_MS, SOON, act, from_now, has_passed, open};
use crate::{cafe, log};

const ENTER: &str = "/v1/commands/enter";
const SAY: &str = "/v1/commands/say";

/// The checks in their order: an active session (402, or 403 with its times), owner or guest (403), the feature of
/// the plan (403), a free seat (400). Leaving is always possible.
#[tokio::test]
async fn private_table_requires_session_membership_feature_and_seat() {
    let (_server, client) = cafe().await;
    let private = json!({"actorId": "Nova", "roomId": "den", "roomType": "private_table", "paymentProof": "coffee_paid"});
    let _ = client.act("/v1/rooms", private).await.data();
    let empty = act(&client, "Nova", ENTER, json!({})).await;
    let details = empty.error(402, "ERR_PAYMENT_REQUIRED");
    assert_eq!(
        (&details["roomId"], &details["actorId"], &details["action"]),
        (&json!("den"), &json!("Nova"), &json!("enter"))
    );
    assert!(details["correlationId"].is_string());
    let starts_at = from_now(&client, LATER_MS).await;
    let session =
        open(&client, "espresso", json!({"startedAt": starts_at, "invitedActorIds": ["Kai"]})).await;
    let early = act(&client, "Nova", ENTER, json!({})).await;
    assert_eq!(early.error(403, "ERR_FORBIDDEN")["startsAt"], session["startedAt"]);
    eventually("the session has begun", SOON, async || has_passed(&client, &starts_at).await.then_some(()))
        .await;
    let outsider = act(&client, "Eve", SAY, json!({"text": "hi"})).await;
    assert_eq!(outsider.error(403, "ERR_FORBIDDEN")["sessionId"], session["sessionId"]);
    for actor in ["Nova", "Kai"] {
        assert_eq!(act(&client, actor, ENTER, json!({})).await.status, 202);
        assert_eq!(act(&client, actor, SAY, json!({"text": "hi"})).await.status, 202);
    }
    assert_eq!(act(&client, "Eve", "/v1/commands/leave", json!({})).await.status, 202);
    let elsewhere = json!({"actorId": "Eve", "text": "hi"});
    assert_eq!(client.act(SAY, elsewhere).await.status, 202, "other rooms are open");
}

/// Also intents and heartbeats, which make an actor present.
#[tokio::test]
async fn private_table_checks_every_action() {
    let (_server, client) = cafe().await;
    let _ = open(&client, "espresso", json!({})).await;
    let actions = [
        (ENTER, json!({}), "enter"),
        (SAY, json!({"text": "hi"}), "say"),
        ("/v1/conversations/messages", json!({"text": "hi"}), "conversation_message"),
        ("/v1/commands/move", json!({"direction": "N"}), "move"),
        ("/v1/commands/order", json!({"itemId": "tea"}), "order"),
        ("/v1/intents/execute", json!({"intent": "navigate_to", "x": 1, "y": 1}), "intent:navigate_to"),
        ("/v1/presence/heartbeat", json!({}), "presence_heartbeat"),
    ];
    for (path, fields, action) in actions {
        let answer = act(&client, "Eve", path, fields).await;
        assert_eq!(answer.error(403, "ERR_FORBIDDEN")["action"], action);
    }
    let poll = client.get("/v1/events/poll?roomId=den&tenantId=default&actorId=Eve&timeoutMs=0").await;
    assert_eq!(poll.data()["presence"], json!(null), "a poll does not make an outsider present");
    assert_eq!(client.get("/v1/presence?roomId=den").await.data()["count"], 0);
}

/// An actor that has a seat is not checked again.
#[tokio::test]
async fn private_table_seats_are_counted_for_whatever_makes_present() {
    let (_server, client) = cafe().await;
    let session = open(&client, "espresso", json!({"invitedActorIds": ["Kai", "Ada"]})).await;
    assert_eq!(act(&client, "Nova", ENTER, json!({})).await.status, 202);
    assert_eq!(act(&client, "Kai", "/v1/presence/heartbeat", json!({})).await.status, 202);
    for (path, fields) in
        [(ENTER, json!({})), (SAY, json!({"text": "hi"})), ("/v1/presence/heartbeat", json!({}))]
    {
        let full = act(&client, "Ada", path, fields).await;
        let details = full.error(400, "ERR_OUT_OF_BOUNDS");
        assert_eq!(
            (&details["reason"], &details["maxAgents"], &details["activeAgents"]),
            (&json!("seat_capacity"), &json!(2), &json!(2))
        );
        assert_eq!(details["sessionId"], session["sessionId"]);
    }
    assert_eq!(act(&client, "Kai", SAY, json!({"text": "hi"})).await.status, 202, "who sits may act");
    assert_eq!(act(&client, "Kai", "/v1/commands/leave", json!({})).await.status, 202);
    assert_eq!(act(&client, "Ada", ENTER, json!({})).await.status, 202, "a seat is free");
}

/// 100 actors enter at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_table_with_4_seats_admits_exactly_4_of_100() {
    let server = crate::launch()
        .env("TABLE_PLAN_CATALOG_JSON", r#"{"big": {"maxAgents": 4, "durationMinutes": 30}}"#)
        .env("PRIVATE_TABLE_PAYMENT_MODE", "off")
        .start()
        .await;
    let client = Arc::new(server.client());
    let invited: Vec<String> = (0..16).map(|number| format!("guest-{number}")).collect();
    let _ = open(&client, "big", json!({"invitedActorIds": invited})).await;
    let mut entering = JoinSet::new();
    for number in 0..100 {
        let client = Arc::clone(&client);
        let actor = format!("guest-{}", number % 16);
        entering.spawn(async move { act(&client, &actor, ENTER, json!({})).await.status });
    }
    let statuses = entering.join_all().await;
    assert!(statuses.iter().all(|status| [202, 400].contains(status)), "{statuses:?}");
    assert_eq!(client.get("/v1/presence?roomId=den&active=true").await.data()["count"], 4);
    let events = log(&client).await;
    let mut entered: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "agent_entered")
        .map(|event| event["actorId"].to_string())
        .collect();
    entered.sort_unstable();
    entered.dedup();
    assert_eq!(entered.len(), 4, "{entered:?}");
}

/// The error lists the plan's features.
#[tokio::test]
async fn private_table_plan_without_chat_refuses_messages() {
    let server = crate::launch()
        .env("TABLE_PLAN_CATALOG_JSON", r#"{"quiet": {"maxAgents": 2, "features": ["task_board"]}}"#)
        .env("PRIVATE_TABLE_PAYMENT_MODE", "off")
        .start()
        .await;
    let client = server.client();
    let _ = open(&client, "quiet", json!({})).await;
    assert_eq!(act(&client, "Nova", ENTER, json!({})).await.status, 202);
    let answer = act(&client, "Nova", SAY, json!({"text": "hi"})).await;
    let details = answer.error(403, "ERR_PLAN_FEATURE_DISABLED");
    assert_eq!(
        (&details["planId"], &details["requiredFeature"]),
        (&json!("quiet"), &json!("basic_thread_chat"))
    );
    assert_eq!(details["enabledFeatures"], json!(["task_board"]));
}

#[tokio::test]
async fn private_table_session_keeps_its_features_if_the_plan_changes() {
    let catalogue =
        |seats: u32| format!(r#"{{"table": {{"maxAgents": {seats}, "features": ["basic_thread_chat"]}}}}"#);
    let directory = tempfile::tempdir().unwrap();
    let start = |seats| {
        crate::launch()
            .data_dir(directory.path())
            .env("TABLE_PLAN_CATALOG_JSON", catalogue(seats))
            .env("PRIVATE_TABLE_PAYMENT_MODE", "off")
            .start()
    };
    let mut server = start(2).await;
    let _ = open(&server.client(), "table", json!({"invitedActorIds": ["Kai"]})).await;
    assert!(server.stop().await.success());
    let server = start(1).await;
    for actor in ["Nova", "Kai"] {
        assert_eq!(act(&server.client(), actor, SAY, json!({"text": "hi"})).await.status, 202);
    }
}

/// With `expiredAt`, before the sweep and after it.
#[tokio::test]
async fn private_table_with_an_expired_session_is_403() {
    let server = crate::launch().env("TABLE_SESSION_SWEEP_MS", 60_000).start().await;
    let client = server.client();
    let expires_at = from_now(&client, LATER_MS).await;
    let session = open(&client, "espresso", json!({"expiresAt": expires_at})).await;
    eventually("the session has expired", SOON, async || {
        has_passed(&client, &expires_at).await.then_some(())
    })
    .await;
    let answer = act(&client, "Nova", ENTER, json!({})).await;
    assert_eq!(answer.error(403, "ERR_FORBIDDEN")["expiredAt"], session["expiresAt"]);
    let renewed = open(&client, "espresso", json!({})).await;
    assert_ne!(renewed["sessionId"], session["sessionId"], "an expired session does not keep its room");
    assert_eq!(act(&client, "Nova", ENTER, json!({})).await.status, 202);
    let ended: Vec<_> =
        log(&client).await.into_iter().filter(|event| event["type"] == "table_session_ended").collect();
    assert_eq!(ended.len(), 1);
}
