//! The order of checks of an agent's command: ids, key, replay, capability, override, body, moderation.

use agentcafe_testkit::{Client, Method, Request, Value, json};

use crate::{launch, log};

const PATH: &str = "/v1/commands/say";

fn say(client: &Client, key: Option<&str>, actor: &str, text: Value) -> Request {
    let request = client.request(Method::POST, PATH);
    let request = request.json(&json!({"actorId": actor, "text": text}));
    match key {
        Some(key) => request.key(key),
        None => request,
    }
}

/// Every check fails at first; each time one is fixed, the next one is reported. (At a private table, table access
/// comes first: `check_order_private_table`.)
#[tokio::test]
async fn command_reports_the_first_failed_check() {
    let server = launch().env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1).env("MOD_COOLDOWN_MS", 0).start().await;
    let client = server.client();
    let give = |actor: &str, capability: &str, may: bool| {
        client.act("/v1/permissions", json!({"roomId": "main", "actorId": actor, capability: may}))
    };
    let operate = |action: &str, target: &str| {
        let body = json!({"roomId": "main", "operatorId": "Op", "action": action, "targetActorId": target});
        client.act("/v1/operator/overrides", body)
    };
    let _ = give("Op", "canModerate", true).await.data();
    // The same text was said before, so that moderation will refuse it. Its key is known from now on.
    let done = say(&client, Some("done"), "Nova", json!("hi")).send().await;
    assert_eq!(done.status, 202);
    let _ = give("Nova", "canSpeak", false).await.data();
    let _ = operate("mute_agent", "Nova").await.data();
    let _ = operate("pause_room", "Nova").await.data();
    let events = log(&client).await.len();

    let _ = say(&client, None, "", json!(7)).send().await.error(400, "ERR_MISSING_FIELD");
    let _ = say(&client, None, "Nova", json!(7)).send().await.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
    let _ =
        say(&client, Some("done"), "Nova", json!(7)).send().await.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
    let replay = say(&client, Some("done"), "Nova", json!("hi")).send().await;
    assert_eq!((replay.data(), replay.header("x-idempotent-replay")), (done.data(), Some("true")));
    let answer = say(&client, Some("a"), "Nova", json!(7)).send().await;
    assert_eq!(answer.error(403, "ERR_FORBIDDEN")["capability"], "canSpeak");
    let _ = give("Nova", "canSpeak", true).await.data();
    let answer = say(&client, Some("a"), "Nova", json!(7)).send().await;
    assert_eq!(answer.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED")["reasonCode"], "ROOM_PAUSED");
    let _ = operate("resume_room", "Nova").await.data();
    let answer = say(&client, Some("a"), "Nova", json!(7)).send().await;
    assert_eq!(answer.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED")["reasonCode"], "ACTOR_MUTED");
    let _ = operate("unmute_agent", "Nova").await.data();
    let _ = say(&client, Some("a"), "Nova", json!(7)).send().await.error(400, "ERR_MISSING_FIELD");
    let answer = say(&client, Some("a"), "Nova", json!("hi")).send().await;
    assert_eq!(answer.error(429, "ERR_MODERATION_BLOCKED")["reasonCode"], "MOD_REPEAT_TEXT");
    assert_eq!(log(&client).await.len(), events + 2, "only the operator's event was appended");
    // No refusal has used up its key.
    assert_eq!(say(&client, Some("a"), "Nova", json!("hello")).send().await.status, 202);
}
