//! Reactions: which events trigger a rule, that it acts exactly once, and what is recorded when it may not act.

use std::time::Duration;

use agentcafe_testkit::{
    Answer, Client, Method, Server, Value, eventually, fresh_key, json, store_under_test,
};

use crate::background_load::head_of_log;
use crate::{cafe, launch, log, merged};

const PATH: &str = "/v1/reactions/subscriptions";
const TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a rule by which Kai replies to messages without a cooldown, changed by these members.
pub(crate) async fn rule(client: &Client, over: Value) -> String {
    let body = merged(
        json!({"targetActorId": "Kai", "actionType": "say", "actionPayload": {"text": "hello"}, "cooldownMs": 0,
        "triggerEventTypes": ["conversation_message_posted"]}),
        &over,
    );
    let answer = client.act(PATH, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["subscription"]["id"].as_str().expect("an id").to_owned()
}

async fn shown(client: &Client, id: &str) -> Value {
    client.get(&format!("{PATH}/{id}")).await.data()["subscription"].clone()
}

async fn say_with(client: &Client, over: Value) -> Answer {
    let body = merged(json!({"actorId": "Nova", "text": "hi"}), &over);
    let answer = client.act("/v1/commands/say", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer
}

/// Waits until the reaction engine, on whichever node, has processed all events.
pub(crate) async fn wait_until_processed(client: &Client) {
    let head = head_of_log(client).await;
    let idle = async || {
        let health = client.health().await;
        let knows_all = health["inboxProjector"]["cursor"].as_u64() >= Some(head);
        let is_done = knows_all && health["reactions"]["inFlight"] == 0;
        let no_lag = "agentcafe_follower_lag{name=\"reactions\"} 0\n";
        (is_done && client.metrics().await.contains(no_lag)).then_some(())
    };
    eventually("all reactions are done", TIMEOUT, idle).await;
}

/// The events of this type that are reactions.
async fn reactions_of_type(client: &Client, kind: &str) -> Vec<Value> {
    let is_one = |event: &Value| event["type"] == kind && event["payload"]["reaction"].is_object();
    log(client).await.into_iter().filter(is_one).collect()
}

async fn patch(client: &Client, id: &str, body: Value) {
    let path = format!("{PATH}/{id}");
    let answer = client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// It has the effects of a command: presence, mentions, inbox items, a trace. The rule counts it.
#[tokio::test]
async fn reaction_say_replies_to_the_message() {
    let (_server, client) = cafe().await;
    let payload = json!({"text": "hey @Bo", "ttlMs": 3_000, "mentions": ["Nova", "Kai"]});
    let id = rule(&client, json!({"actionPayload": payload, "roomId": "main"})).await;
    let said = say_with(&client, json!({"threadId": "t", "messageId": "m", "correlationId": "c"})).await;
    wait_until_processed(&client).await;
    let all = log(&client).await;
    let reaction = json!({"sourceSubscriptionId": id, "sourceEventId": said.data()["eventId"], "hops": 1});
    let own: Vec<&Value> = all.iter().filter(|event| event["payload"]["reaction"] == reaction).collect();
    let kinds: Vec<_> = own.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["conversation_message_posted", "mention_created", "presence_heartbeat"]);
    let message = own[0];
    assert_eq!((&message["actorId"], &message["roomId"]), (&json!("Kai"), &json!("main")));
    assert_eq!((&message["correlationId"], &message["causationId"]), (&json!("c"), &said.data()["eventId"]));
    let conversation = &message["payload"]["conversation"];
    let want = json!({
        "messageId": conversation["messageId"], "threadId": "t", "parentMessageId": "m", "replyToMessageId": "m",
        "mentions": ["Nova", "Kai"], "contextWindow": {"id": null, "maxItems": 20}, "text": "hey @Bo",
        "metadata": {"reaction": reaction},
    });
    assert_eq!(conversation, &want);
    assert_eq!(message["payload"]["bubble"], json!({"text": "hey @Bo", "ttlMs": 3_000}));
    assert_eq!(
        (&own[1]["payload"]["mentionedActorId"], &own[1]["causationId"]),
        (&json!("Nova"), &message["eventId"])
    );
    assert_eq!((&own[2]["payload"]["status"], &own[2]["causationId"]), (&json!("busy"), &message["eventId"]));
    let inbox = client.get("/v1/inbox?actorId=Nova").await;
    assert_eq!(inbox.data()["items"][0]["sourceEventId"], own[1]["eventId"]);
    let presence = client.get("/v1/presence?actorId=Kai").await;
    assert_eq!(
        (&presence.data()["presence"][0]["status"], &presence.data()["count"]),
        (&json!("busy"), &json!(1))
    );
    let rule = shown(&client, &id).await;
    for (name, want) in [
        ("triggerCount", json!(1)),
        ("errorCount", json!(0)),
        ("lastError", json!(null)),
        ("lastSourceEventId", said.data()["eventId"].clone()),
        ("lastTriggeredAt", message["timestamp"].clone()),
        ("updatedAt", message["timestamp"].clone()),
    ] {
        assert_eq!(rule[name], want, "{name}");
    }
    let trace = client.get("/v1/traces/c").await;
    let steps = trace.data()["trace"]["steps"].as_array().cloned().unwrap_or_default();
    assert!(steps.iter().any(|step| step["details"]["eventId"] == message["eventId"]), "{}", trace.text);
}

/// A move changes the actor's position.
#[tokio::test]
async fn reaction_moves_and_orders() {
    let (_server, client) = cafe().await;
    let step = json!({"direction": "w", "steps": 3});
    rule(
        &client,
        json!({"actionType": "move", "actionPayload": step, "triggerEventTypes": ["order_changed"]}),
    )
    .await;
    let tea = json!({"itemId": "tea"});
    rule(&client, json!({"actionType": "order", "actionPayload": tea, "triggerEventTypes": ["actor_moved"]}))
        .await;
    let moved = client.act("/v1/commands/move", json!({"actorId": "Nova", "direction": "N"})).await;
    let ordered = client.act("/v1/commands/order", json!({"actorId": "Nova", "itemId": "x"})).await;
    wait_until_processed(&client).await;
    let (moves, orders) =
        (reactions_of_type(&client, "actor_moved").await, reactions_of_type(&client, "order_changed").await);
    assert_eq!((moves.len(), orders.len()), (1, 1));
    let payload = &moves[0]["payload"];
    assert_eq!(
        (&payload["direction"], &payload["steps"], &payload["intent"]),
        (&json!("W"), &json!(3), &json!("reaction"))
    );
    assert_eq!(moves[0]["causationId"], ordered.data()["eventId"]);
    assert_eq!(
        (&orders[0]["payload"]["itemId"], &orders[0]["payload"]["size"]),
        (&json!("tea"), &json!("regular"))
    );
    assert_eq!(orders[0]["causationId"], moved.data()["eventId"]);
    let body = json!({"actorId": "Kai", "intent": "navigate_to", "x": 0, "y": 0});
    let walked = client.act("/v1/intents/execute", body).await;
    assert_eq!(walked.data()["from"], json!({"x": 7, "y": 6}), "three steps west of the spawn");
}

/// A rule without a room matches every room.
#[tokio::test]
async fn reaction_matches_actor_type_room_and_tenant() {
    let (_server, client) = cafe().await;
    let text = |text: &str| json!({"text": text});
    for (name, over) in [
        ("room", json!({"roomId": "main"})),
        ("other room", json!({"roomId": "attic"})),
        ("everywhere", json!({})),
        ("other tenant", json!({"tenantId": "acme"})),
        ("source", json!({"sourceActorId": "Nova"})),
        ("other source", json!({"sourceActorId": "Bo"})),
        ("other type", json!({"triggerEventTypes": ["order_changed"]})),
        ("any type", json!({"triggerEventTypes": ["*"]})),
        ("self", json!({"targetActorId": "Nova"})),
        ("not even self", json!({"targetActorId": "Nova", "ignoreSelf": false})),
        ("off", json!({"enabled": false})),
    ] {
        let mut over = over;
        over["actionPayload"] = text(name);
        rule(&client, over).await;
    }
    say_with(&client, json!({})).await;
    wait_until_processed(&client).await;
    let message_texts = async |room: &str| {
        let mut message_texts: Vec<String> = reactions_of_type(&client, "conversation_message_posted")
            .await
            .iter()
            .filter(|event| event["roomId"] == room)
            .map(|event| event["payload"]["conversation"]["text"].as_str().unwrap().to_owned())
            .collect();
        message_texts.sort();
        message_texts
    };
    // The wildcard also answers the heartbeat of the say.
    assert_eq!(
        message_texts("main").await,
        ["any type", "any type", "everywhere", "not even self", "room", "source"]
    );
    say_with(&client, json!({"roomId": "attic", "actorId": "Bo"})).await;
    wait_until_processed(&client).await;
    assert_eq!(
        message_texts("attic").await,
        ["any type", "any type", "everywhere", "not even self", "other room", "other source", "self"]
    );
    let tenants: Vec<Value> = reactions_of_type(&client, "conversation_message_posted").await;
    assert!(tenants.iter().all(|event| event["tenantId"] == "default"));
    let health = client.health().await["reactions"].clone();
    assert_eq!(health["triggered"], 13);
    assert_eq!(health["failed"], 0);
    assert!(
        health["skipped"].as_u64().unwrap() >= 2 && health["processed"].as_u64().unwrap() >= 4,
        "{health}"
    );
}

/// The end is recorded with its reason. Events that a reaction has in its train (a mention, a heartbeat) trigger no
/// rule.
#[tokio::test]
async fn reaction_chain_ends_at_its_limit() {
    let (_server, client) = cafe().await;
    let chatty = |target: &str, types: Value| {
        json!({"targetActorId": target, "ignoreReactionEvents": false, "roomId": "main", "triggerEventTypes": types,
        "actionPayload": {"text": format!("{target} here"), "mentions": ["Bo"]}})
    };
    let kai = rule(&client, chatty("Kai", json!(["conversation_message_posted"]))).await;
    let nova = rule(&client, chatty("Nova", json!(["conversation_message_posted"]))).await;
    say_with(&client, json!({"actorId": "Bo"})).await;
    wait_until_processed(&client).await;
    let hops: Vec<u64> = reactions_of_type(&client, "conversation_message_posted")
        .await
        .iter()
        .map(|event| event["payload"]["reaction"]["hops"].as_u64().unwrap())
        .collect();
    // Both reply to Bo, and then to each other, up to four hops.
    assert_eq!(hops.iter().filter(|hops| **hops == 1).count(), 2);
    assert_eq!((hops.len(), hops.iter().max()), (8, Some(&4)));
    for id in [&kai, &nova] {
        let rule = shown(&client, id).await;
        assert_eq!(
            (&rule["lastError"], &rule["errorCount"], &rule["triggerCount"]),
            (&json!("hop_limit"), &json!(1), &json!(4))
        );
    }
    let before = log(&client).await.len();
    patch(&client, &kai, json!({"ignoreReactionEvents": true, "triggerEventTypes": ["*"]})).await;
    patch(&client, &nova, json!({"ignoreReactionEvents": true, "triggerEventTypes": ["*"]})).await;
    assert_eq!(client.act("/v1/presence/heartbeat", json!({"actorId": "Bo"})).await.status, 202);
    wait_until_processed(&client).await;
    let after = log(&client).await;
    let fresh = reactions_of_type(&client, "conversation_message_posted").await.len() - hops.len();
    let beats = after[before..].iter().filter(|event| event["payload"]["reaction"].is_null()).count();
    assert_eq!(fresh, 2 * beats, "each reacts to Bo's event, and to no other: {:?}", &after[before..]);
}

/// However many events arrive at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reaction_cooldown_allows_one_trigger() {
    let server = launch().env("REACTION_MAX_CONCURRENCY", 16).start().await;
    let client = server.client();
    let id = rule(&client, json!({"cooldownMs": 86_400_000})).await;
    let says = (0..60).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { say_with(&client, json!({"actorId": format!("a{n}")})).await })
    });
    for said in says.collect::<Vec<_>>() {
        said.await.unwrap();
    }
    wait_until_processed(&client).await;
    assert_eq!(reactions_of_type(&client, "conversation_message_posted").await.len(), 1);
    let rule = shown(&client, &id).await;
    assert_eq!((&rule["triggerCount"], &rule["errorCount"]), (&json!(1), &json!(0)));
}

/// Events before the rule was made, or while it was disabled, do not trigger it.
#[tokio::test]
async fn reaction_stops_when_disabled_or_deleted() {
    let (_server, client) = cafe().await;
    say_with(&client, json!({})).await;
    let id = rule(&client, json!({})).await;
    wait_until_processed(&client).await;
    assert!(reactions_of_type(&client, "conversation_message_posted").await.is_empty());
    say_with(&client, json!({})).await;
    patch(&client, &id, json!({"enabled": false})).await;
    wait_until_processed(&client).await;
    let before = reactions_of_type(&client, "conversation_message_posted").await.len();
    assert!(before <= 1);
    for _ in 0..3 {
        say_with(&client, json!({})).await;
    }
    patch(&client, &id, json!({"enabled": true})).await;
    wait_until_processed(&client).await;
    assert_eq!(reactions_of_type(&client, "conversation_message_posted").await.len(), before);
    say_with(&client, json!({})).await;
    wait_until_processed(&client).await;
    assert_eq!(reactions_of_type(&client, "conversation_message_posted").await.len(), before + 1);
    let answer = client.request(Method::DELETE, &format!("{PATH}/{id}")).key("k").send().await;
    assert_eq!(answer.status, 200);
    say_with(&client, json!({})).await;
    wait_until_processed(&client).await;
    assert_eq!(reactions_of_type(&client, "conversation_message_posted").await.len(), before + 1);
}

/// It is counted in the metrics; no client gets an error.
#[tokio::test]
async fn reaction_blocked_by_moderation_is_recorded() {
    let server = launch().env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 2).env("MOD_COOLDOWN_MS", 0).start().await;
    let client = server.client();
    let id = rule(&client, json!({})).await;
    for name in ["a", "b", "c"] {
        say_with(&client, json!({"actorId": name})).await;
        wait_until_processed(&client).await;
    }
    let rule = shown(&client, &id).await;
    for (name, want) in [
        ("triggerCount", json!(2)),
        ("errorCount", json!(1)),
        ("lastError", json!("moderated:MOD_REPEAT_TEXT")),
    ] {
        assert_eq!(rule[name], want, "{name}");
    }
    assert!(rule["lastSourceEventId"].is_string());
    let metrics = client.metrics().await;
    for series in [
        "agentcafe_moderation_blocks_total{reason=\"MOD_REPEAT_TEXT\"} 1",
        "agentcafe_reactions_total{outcome=\"triggered\"} 2",
        "agentcafe_reactions_total{outcome=\"failed\"} 0",
        "agentcafe_follower_lag{name=\"reactions\"} 0",
    ] {
        assert!(metrics.contains(series), "no {series} in:\n{metrics}");
    }
    let health = client.health().await;
    assert_eq!(
        (&health["reactions"]["triggered"], &health["storage"]["reactions"]),
        (&json!(2), &json!(store_under_test()))
    );
}

/// The actor may act at once after its reaction.
#[tokio::test]
async fn reaction_does_not_use_up_the_minimum_interval() {
    let server = launch().env("MOD_MIN_ACTION_INTERVAL_MS", 60_000).start().await;
    let client = server.client();
    let id = rule(&client, json!({})).await;
    say_with(&client, json!({"actorId": "Nova"})).await;
    wait_until_processed(&client).await;
    say_with(&client, json!({"actorId": "Kai", "text": "I speak for myself"})).await;
    say_with(&client, json!({"actorId": "Bo"})).await;
    wait_until_processed(&client).await;
    assert_eq!(shown(&client, &id).await["triggerCount"], 2);
}

#[tokio::test]
async fn reaction_text_over_a_lowered_limit_fails_and_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let at = |chars: u32| launch().data_dir(directory.path()).env("API_MAX_CHAT_MESSAGE_CHARS", chars);
    let mut server = at(120).start().await;
    let id = rule(&server.client(), json!({"actionPayload": {"text": "x".repeat(50)}})).await;
    server.stop().await;
    let server = at(20).start().await;
    let client = server.client();
    say_with(&client, json!({})).await;
    wait_until_processed(&client).await;
    let rule = shown(&client, &id).await;
    assert_eq!((&rule["lastError"], &rule["errorCount"]), (&json!("reaction text is too long"), &json!(1)));
    assert_eq!(client.health().await["reactions"]["failed"], 1);
}

/// Sends says from several actors until the server is gone; returns the acknowledged ones.
async fn say_until_gone(server: &mut Server, enough: usize) -> Vec<Value> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let speakers: Vec<_> = (0..8)
        .map(|speaker| {
            let (client, sender) = (server.client(), sender.clone());
            tokio::spawn(async move {
                loop {
                    let body = json!({"actorId": format!("speaker-{speaker}"), "text": "hi"});
                    let request =
                        client.request(Method::POST, "/v1/commands/say").key(&fresh_key()).json(&body);
                    let Ok(answer) = request.try_send().await else { return };
                    assert_eq!(answer.status, 202, "{}", answer.text);
                    if sender.send(answer.data()["eventId"].clone()).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let mut said = Vec::new();
    while said.len() < enough {
        said.push(receiver.recv().await.expect("a say is acknowledged"));
    }
    server.kill();
    while let Some(event) = receiver.recv().await {
        said.push(event);
    }
    for speaker in speakers {
        speaker.await.expect("a writer stops without a panic");
    }
    said
}

/// `kill -9` several times: every message has exactly one reply of each rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reaction_happens_exactly_once_across_kills() {
    let (mut server, client) = cafe().await;
    let rules = [
        rule(&client, json!({})).await,
        rule(&client, json!({"targetActorId": "Bo", "roomId": "main", "actionType": "order", "actionPayload": {"itemId": "tea"}})).await,
    ];
    let mut acknowledged = Vec::new();
    for enough in [60, 5, 120] {
        acknowledged.extend(say_until_gone(&mut server, enough).await);
        server.restart().await;
    }
    let client = server.client();
    wait_until_processed(&client).await;
    let all = log(&client).await;
    assert!(all.len() < 5_000);
    let said: Vec<&Value> = all
        .iter()
        .filter(|event| {
            event["type"] == "conversation_message_posted" && event["payload"]["reaction"].is_null()
        })
        .map(|event| &event["eventId"])
        .collect();
    assert!(acknowledged.iter().all(|event| said.contains(&event)));
    for (id, kind) in rules.iter().zip(["conversation_message_posted", "order_changed"]) {
        let mut answered: Vec<&Value> = all
            .iter()
            .filter(|event| {
                event["type"] == kind && event["payload"]["reaction"]["sourceSubscriptionId"] == json!(id)
            })
            .map(|event| &event["payload"]["reaction"]["sourceEventId"])
            .collect();
        assert_eq!(answered.len(), said.len(), "one reaction each");
        // In order for each rule.
        assert_eq!(answered, said);
        answered.dedup();
        assert_eq!(answered.len(), said.len());
        assert_eq!(shown(&client, id).await["triggerCount"], said.len());
    }
}

/// After a graceful stop no event is processed again, and events meanwhile get their reaction.
#[tokio::test]
async fn reaction_resumes_after_a_restart() {
    let (mut server, client) = cafe().await;
    rule(&client, json!({})).await;
    say_with(&client, json!({})).await;
    wait_until_processed(&client).await;
    server.stop().await;
    server.restart().await;
    let client = server.client();
    wait_until_processed(&client).await;
    assert_eq!(reactions_of_type(&client, "conversation_message_posted").await.len(), 1);
    say_with(&client, json!({})).await;
    wait_until_processed(&client).await;
    assert_eq!(reactions_of_type(&client, "conversation_message_posted").await.len(), 2);
    assert_eq!(client.health().await["reactions"]["triggered"], 1, "counted since the start");
}
