//! Reaction subscriptions: creating, reading, changing and deleting them, and every refusal.

use agentcafe_testkit::{Answer, Client, Method, Value, fresh_key, json};

use crate::{UNKNOWN_ID, cafe, launch, log, merged};

const PATH: &str = "/v1/reactions/subscriptions";
/// A rule by which Kai says hello, changed by these members.
fn hello(over: Value) -> Value {
    merged(
        json!({"targetActorId": "Kai", "roomId": "main", "actionType": "say", "actionPayload": {"text": "hello"}}),
        &over,
    )
}

async fn create(client: &Client, over: Value) -> Value {
    let answer = client.act(PATH, hello(over)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["subscription"].clone()
}

fn path_of(subscription: &Value) -> String {
    format!("{PATH}/{}", subscription["id"].as_str().expect("an id"))
}

async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    client.request(Method::PATCH, path).key(&fresh_key()).json(&body).send().await
}

async fn delete(client: &Client, path: &str, key: &str) -> Answer {
    client.request(Method::DELETE, path).key(key).send().await
}

async fn list(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("{PATH}?{query}")).await;
    let found = answer.data()["subscriptions"].as_array().cloned().unwrap_or_default();
    assert_eq!(answer.data()["count"], found.len());
    found.iter().map(|rule| rule["actionPayload"]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// No event is appended.
#[tokio::test]
async fn reaction_subscription_has_its_fields_and_defaults() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let answer = client
        .act(
            PATH,
            json!({"targetActorId": " Kai ", "actionType": "SAY", "actionPayload": {"text": "hi", "x": 1}}),
        )
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.data()["correlationId"].as_str(), answer.header("x-correlation-id"));
    let made = answer.data()["subscription"].clone();
    let want = json!({
        "id": made["id"], "tenantId": "default", "roomId": null, "sourceActorId": null, "targetActorId": "Kai",
        "triggerEventTypes": ["*"], "actionType": "say", "actionPayload": {"text": "hi", "ttlMs": 7_000}, "enabled": true,
        "cooldownMs": 1_000, "ignoreSelf": true, "ignoreReactionEvents": true, "metadata": {}, "triggerCount": 0, "errorCount": 0,
        "lastTriggeredAt": null, "lastSourceEventId": null, "lastError": null, "createdBy": null,
        "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
    });
    assert_eq!(made, want);
    assert_eq!(client.get(&path_of(&made)).await.data(), &json!({"subscription": made}));
    let full = create(
        &client,
        json!({"sourceActorId": "Bo", "triggerEventTypes": [" order_changed ", "", "order_changed"], "enabled": false, "cooldownMs": 0,
            "ignoreSelf": false, "ignoreReactionEvents": false, "metadata": {"a": 1}, "createdBy": "Nova"}),
    )
    .await;
    for (name, want) in [
        ("roomId", json!("main")),
        ("sourceActorId", json!("Bo")),
        ("triggerEventTypes", json!(["order_changed"])),
        ("enabled", json!(false)),
        ("cooldownMs", json!(0)),
        ("ignoreSelf", json!(false)),
        ("ignoreReactionEvents", json!(false)),
        ("metadata", json!({"a": 1})),
        ("createdBy", json!("Nova")),
    ] {
        assert_eq!(full[name], want, "{name}");
    }
    assert!(log(&client).await.is_empty());
}

#[tokio::test]
async fn reaction_subscription_fields_are_validated_in_order() {
    let (_server, client) = cafe().await;
    let field = |name: &str| json!({"field": name});
    let payload = |name: &str| json!({"field": format!("actionPayload.{name}")});
    let say = |payload: Value| json!({"actionPayload": payload});
    let act = |kind: &str, payload: Value| json!({"actionType": kind, "actionPayload": payload});
    let kinds = json!({"field": "actionType", "allowed": ["say", "move", "order"]});
    let cases: Vec<(Value, &str, Value)> = vec![
        (json!({"tenantId": 5}), "ERR_VALIDATION", field("tenantId")),
        (json!({"roomId": 5, "targetActorId": 5}), "ERR_VALIDATION", field("roomId")),
        (json!({"targetActorId": 5, "sourceActorId": 5}), "ERR_VALIDATION", field("targetActorId")),
        (json!({"sourceActorId": 5, "targetActorId": ""}), "ERR_VALIDATION", field("sourceActorId")),
        (json!({"targetActorId": null, "triggerEventTypes": 5}), "ERR_MISSING_FIELD", field("targetActorId")),
        (json!({"targetActorId": " "}), "ERR_MISSING_FIELD", field("targetActorId")),
        (json!({"triggerEventTypes": "x", "actionType": "x"}), "ERR_VALIDATION", field("triggerEventTypes")),
        (json!({"triggerEventTypes": [1]}), "ERR_VALIDATION", field("triggerEventTypes")),
        (json!({"triggerEventTypes": ["x".repeat(65)]}), "ERR_OUT_OF_BOUNDS", field("triggerEventTypes")),
        (json!({"actionType": "dance", "actionPayload": 5}), "ERR_INVALID_ENUM", kinds.clone()),
        (json!({"actionType": null}), "ERR_INVALID_ENUM", kinds),
        (json!({"actionPayload": [], "enabled": 1}), "ERR_VALIDATION", field("actionPayload")),
        (json!({"actionPayload": {}, "enabled": 1}), "ERR_VALIDATION", payload("text")),
        (
            say(json!({"text": "x".repeat(121)})),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "actionPayload.text", "max": 120, "value": 121}),
        ),
        (say(json!({"text": "x", "ttlMs": "soon"})), "ERR_OUT_OF_BOUNDS", payload("ttlMs")),
        (say(json!({"text": "x", "mentions": [5]})), "ERR_VALIDATION", payload("mentions")),
        (act("move", json!({"direction": "up"})), "ERR_INVALID_DIRECTION", payload("direction")),
        (act("move", json!({"direction": "N", "steps": 51})), "ERR_OUT_OF_BOUNDS", payload("steps")),
        (act("order", json!({"itemId": ""})), "ERR_VALIDATION", payload("itemId")),
        (json!({"enabled": "false", "cooldownMs": -1}), "ERR_VALIDATION", field("enabled")),
        (json!({"ignoreSelf": 0}), "ERR_VALIDATION", field("ignoreSelf")),
        (json!({"ignoreReactionEvents": "no"}), "ERR_VALIDATION", field("ignoreReactionEvents")),
        (
            json!({"cooldownMs": -1}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "cooldownMs", "min": 0, "max": 86_400_000}),
        ),
        (json!({"cooldownMs": 86_400_001}), "ERR_OUT_OF_BOUNDS", field("cooldownMs")),
        (json!({"cooldownMs": "x", "metadata": 5}), "ERR_OUT_OF_BOUNDS", field("cooldownMs")),
        (json!({"metadata": []}), "ERR_VALIDATION", field("metadata")),
        (
            json!({"metadata": {"a": "x".repeat(70_000)}}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "metadata", "max": 4_096}),
        ),
        (json!({"createdBy": 5}), "ERR_VALIDATION", field("createdBy")),
    ];
    let made = path_of(&create(&client, json!({"enabled": false})).await);
    for (over, code, details) in cases {
        let answer = client.act(PATH, hello(over.clone())).await;
        let changed = patch(&client, &made, over.clone()).await;
        let got = answer.error(400, code);
        for (name, want) in details.as_object().into_iter().flatten() {
            assert_eq!(&got[name], want, "{over}: {got}");
        }
        // A change is validated, too. The creator, the tenant and the order of checks differ.
        let own =
            over.get("createdBy").is_some() || over.as_object().is_some_and(|members| members.len() > 1);
        assert!(own || changed.error(400, code)["field"] == details["field"], "{over}: {}", changed.text);
    }
    assert_eq!(list(&client, "").await.len(), 1);
}

#[tokio::test]
async fn reaction_subscriptions_are_filtered_and_paged() {
    let (_server, client) = cafe().await;
    let say = |text: &str| json!({"text": text});
    for over in [
        json!({"actionPayload": say("a"), "enabled": false}),
        json!({"actionPayload": say("b"), "roomId": "attic", "triggerEventTypes": ["order_changed"], "enabled": false}),
        json!({"actionPayload": say("c"), "roomId": null, "targetActorId": "Bo", "triggerEventTypes": ["agent_left"]}),
        json!({"actionPayload": say("d"), "sourceActorId": "Nova"}),
        json!({"actionPayload": say("e"), "tenantId": "acme"}),
    ] {
        create(&client, over).await;
    }
    let sorted = async |query: &str| {
        let mut found = list(&client, query).await;
        found.sort();
        found.concat()
    };
    for (query, want) in [
        ("", "abcd"),
        ("tenantId=acme", "e"),
        ("tenantId=nobody", ""),
        ("roomId=main", "ad"),
        ("roomId=attic", "b"),
        ("enabled=true", "cd"),
        ("enabled=NO", "ab"),
        ("enabled=maybe", "abcd"),
        ("sourceActorId=Nova", "d"),
        ("targetActorId=Bo", "c"),
        ("eventType=order_changed", "abd"),
        ("eventType=agent_left&targetActorId=Bo", "c"),
        ("eventType=agent_left&roomId=attic", ""),
    ] {
        assert_eq!(sorted(query).await, want, "{query}");
    }
    for query in ["limit=1", "limit=1&eventType=order_changed", "limit=3"] {
        let (mut message_texts, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("{PATH}?{query}&cursor={cursor}")).await;
            let found = page.data()["subscriptions"].as_array().cloned().unwrap_or_default();
            message_texts
                .extend(found.iter().map(|rule| rule["actionPayload"]["text"].as_str().unwrap().to_owned()));
            match page.data()["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let want = list(&client, &query.replace("limit=1", "").replace("limit=3", "")).await;
        assert_eq!(message_texts, want, "{query}");
    }
    let refused = client.get(&format!("{PATH}?cursor=nope")).await;
    assert_eq!(refused.error(400, "ERR_VALIDATION")["field"], "cursor");
    let refused = client.get(&format!("{PATH}?limit=1.5")).await;
    assert_eq!(refused.error(400, "ERR_VALIDATION")["field"], "limit");
}

/// The result as a whole must be valid.
#[tokio::test]
async fn reaction_subscription_patch_changes_named_fields() {
    let (_server, client) = cafe().await;
    let made =
        create(&client, json!({"cooldownMs": 7, "metadata": {"a": 1}, "triggerEventTypes": ["agent_left"]}))
            .await;
    let path = path_of(&made);
    let change = async |body: Value| patch(&client, &path, body).await.data()["subscription"].clone();
    let changed = change(json!({"cooldownMs": 0, "roomId": null, "triggerEventTypes": [" "]})).await;
    let mut want = made.clone();
    for (name, value) in
        [("cooldownMs", json!(0)), ("roomId", json!(null)), ("triggerEventTypes", json!(["*"]))]
    {
        want[name] = value;
    }
    want["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, want);
    for empty in [json!({}), json!({"tenantId": "default", "correlationId": "c"}), json!({"createdBy": "Bo"})]
    {
        let _ = patch(&client, &path, empty).await.error(400, "ERR_VALIDATION");
    }
    let answer = patch(&client, &path, json!({"actionType": "order"})).await;
    assert_eq!(answer.error(400, "ERR_VALIDATION")["field"], "actionPayload.itemId");
    let answer = patch(&client, &path, json!({"targetActorId": null})).await;
    assert_eq!(answer.error(400, "ERR_MISSING_FIELD")["field"], "targetActorId");
    let changed = change(json!({"actionType": "order", "actionPayload": {"itemId": "tea"}})).await;
    assert_eq!(changed["actionPayload"], json!({"itemId": "tea", "size": "regular"}));
    assert_eq!(client.get(&path).await.data()["subscription"], changed);
}

/// Replays come before this check.
#[tokio::test]
async fn reaction_subscription_of_another_tenant_or_unknown_id_is_404() {
    let (_server, client) = cafe().await;
    let path = path_of(&create(&client, json!({"tenantId": "acme"})).await);
    let unknown =
        |answer: Answer, id: &str| assert_eq!(answer.error(404, "ERR_NOT_FOUND")["subscriptionId"], id);
    for id in [UNKNOWN_ID, "nope", "%20"] {
        let path = format!("{PATH}/{id}");
        let shown = id.replace("%20", " ");
        unknown(client.get(&path).await, &shown);
        unknown(patch(&client, &path, json!({"enabled": false})).await, &shown);
        unknown(delete(&client, &path, &fresh_key()).await, &shown);
    }
    let id = path.rsplit('/').next().unwrap();
    let foreign = format!("{path}?tenantId=other");
    unknown(client.get(&foreign).await, id);
    unknown(patch(&client, &foreign, json!({"enabled": false})).await, id);
    unknown(patch(&client, &path, json!({"enabled": false, "tenantId": "other"})).await, id);
    unknown(delete(&client, &foreign, &fresh_key()).await, id);
    for own in [path.clone(), format!("{path}?tenantId=acme")] {
        assert_eq!(client.get(&own).await.status, 200);
        assert_eq!(patch(&client, &own, json!({"enabled": false})).await.status, 200);
    }
    let first = delete(&client, &path, "gone").await;
    assert_eq!(first.data()["deleted"], true);
    assert_eq!(first.data()["subscriptionId"], id);
    let again = delete(&client, &path, "gone").await;
    assert_eq!((&again.text, again.header("x-idempotent-replay")), (&first.text, Some("true")));
    unknown(delete(&client, &path, &fresh_key()).await, id);
    unknown(client.get(&path).await, id);
}

/// Also by copies at once, and after a restart.
#[tokio::test]
async fn reaction_subscription_is_created_once_per_key() {
    let (mut server, client) = cafe().await;
    let copies = (0..10).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.post(PATH, "k", hello(json!({}))).await.text })
    });
    let mut message_texts = Vec::new();
    for copy in copies.collect::<Vec<_>>() {
        message_texts.push(copy.await.unwrap());
    }
    message_texts.dedup();
    assert_eq!(message_texts.len(), 1);
    server.restart().await;
    let client = server.client();
    assert_eq!(client.post(PATH, "k", hello(json!({}))).await.text, message_texts[0]);
    let conflict = client.post(PATH, "k", hello(json!({"cooldownMs": 5}))).await;
    assert_eq!(conflict.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"], "default:reactions:create");
    let keyless = client.request(Method::POST, PATH).json(&hello(json!({}))).send().await;
    let _ = keyless.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
    assert_eq!(list(&client, "").await.len(), 1);
}

/// An actor may create rules for itself; for another one it must be an operator of the room.
#[tokio::test]
async fn reaction_subscription_for_others_needs_an_operator_in_strict_mode() {
    let server = launch().env("PERMISSIONS_MODE", "strict").start().await;
    let client = server.client();
    let answer = client.act(PATH, hello(json!({}))).await;
    assert_eq!(answer.error(400, "ERR_MISSING_FIELD")["field"], "createdBy");
    for room in [json!("main"), json!(null)] {
        let answer = client.act(PATH, hello(json!({"createdBy": "Nova", "roomId": room}))).await;
        let details = answer.error(403, "ERR_FORBIDDEN");
        assert_eq!(
            (&details["actorId"], &details["capability"], &details["action"]),
            (&json!("Nova"), &json!("canModerate"), &json!("reaction_subscription_create"))
        );
    }
    let path = path_of(&create(&client, json!({"createdBy": "Kai"})).await);
    let answer = patch(&client, &path, json!({"enabled": false})).await;
    assert_eq!(answer.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    let answer = patch(&client, &path, json!({"enabled": false, "actorId": "Nova"})).await;
    assert_eq!(answer.error(403, "ERR_FORBIDDEN")["action"], "reaction_subscription_update");
    let answer = patch(&client, &path, json!({"targetActorId": "Bo", "actorId": "Kai"})).await;
    let _ = answer.error(403, "ERR_FORBIDDEN");
    assert_eq!(patch(&client, &path, json!({"enabled": false, "actorId": "Kai"})).await.status, 200);
    let answer = delete(&client, &format!("{path}?actorId=Nova"), &fresh_key()).await;
    assert_eq!(answer.error(403, "ERR_FORBIDDEN")["action"], "reaction_subscription_delete");
    assert_eq!(delete(&client, &format!("{path}?actorId=Kai"), &fresh_key()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reaction_subscriptions_are_limited_per_tenant() {
    let (_server, client) = cafe().await;
    for batch in 0..20 {
        let made = (0..50).map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let (key, body) = (fresh_key(), hello(json!({"enabled": false})));
                loop {
                    // An overloaded server answers 503.
                    match client.post(PATH, &key, body.clone()).await.status {
                        503 => {}
                        status => return status,
                    }
                }
            })
        });
        for status in made.collect::<Vec<_>>() {
            assert_eq!(status.await.unwrap(), 201, "batch {batch}");
        }
    }
    let answer = client.act(PATH, hello(json!({}))).await;
    let details = answer.error(400, "ERR_OUT_OF_BOUNDS");
    assert_eq!((&details["field"], &details["max"]), (&json!("subscriptions"), &json!(1_000)));
    assert_eq!(client.act(PATH, hello(json!({"tenantId": "acme"}))).await.status, 201);
    assert_eq!(list(&client, "").await.len(), 1_000);
}
