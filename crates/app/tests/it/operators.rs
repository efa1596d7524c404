//! Operators: pause and resume a room, mute and unmute an actor, force it to leave; state, events and rights.

use agentcafe_testkit::{Answer, Client, Value, json};

use crate::{cafe, cafe_with_operator, launch, log, promote, say};

async fn operate(client: &Client, action: &str, target: Option<&str>) -> Answer {
    let body = json!({"roomId": "main", "operatorId": "Op", "action": action, "targetActorId": target});
    client.act("/v1/operator/overrides", body).await
}

async fn state(client: &Client) -> Value {
    client.get("/v1/operator/overrides?roomId=main").await.data()["override"].clone()
}

/// Operators' own actions in the room are blocked, too. Resuming clears the pause's reason and metadata. State,
/// event, audit entry and response agree.
#[tokio::test]
async fn pause_blocks_all_actions_but_leave_until_resume() {
    let (_server, client) = cafe_with_operator().await;
    let none = json!({"tenantId": "default", "roomId": "main", "roomPaused": false, "pausedBy": null, "pauseReason": null,
        "pausedAt": null, "resumedAt": null, "mutedActors": {}, "mutedActorIds": [], "metadata": {}, "createdAt": null, "updatedAt": null});
    assert_eq!(state(&client).await, none);
    let body = json!({"roomId": "main", "operatorId": "Op", "action": "pause_room", "reason": " fire ", "metadata": {"floor": 2}});
    let answer = client.act("/v1/operator/overrides", body).await;
    let data = answer.data();
    let at = &data["action"]["at"];
    let paused = json!({"tenantId": "default", "roomId": "main", "roomPaused": true, "pausedBy": "Op", "pauseReason": "fire",
        "pausedAt": at, "resumedAt": null, "mutedActors": {}, "mutedActorIds": [], "metadata": {"floor": 2}, "createdAt": at, "updatedAt": at});
    assert_eq!((answer.status, &data["override"]), (202, &paused));
    assert_eq!(state(&client).await, paused);
    let event = log(&client).await.pop().unwrap();
    let emitted = json!([{"eventId": event["eventId"], "sequence": event["sequence"], "eventType": "operator_override_applied"}]);
    assert_eq!((&data["emittedEvents"], &event["actorId"]), (&emitted, &json!("Op")));
    let told = json!({"action": "pause_room", "targetActorId": null, "reason": "fire", "metadata": {"floor": 2},
        "overrideState": {"roomPaused": true, "pausedBy": "Op", "mutedActorIds": []}});
    assert_eq!(event["payload"], told);
    let done = json!({"action": "pause_room", "operatorId": "Op", "targetActorId": null, "reason": "fire", "metadata": {"floor": 2}, "at": at});
    assert_eq!(data["action"], done);
    let audit = json!({"id": data["audit"]["id"], "auditSeq": 2, "tenantId": "default", "roomId": "main", "operatorId": "Op",
        "action": "pause_room", "targetActorId": null, "reason": "fire", "metadata": {"floor": 2}, "correlationId": data["correlationId"],
        "requestId": answer.header("x-request-id"), "outcome": "applied", "eventId": event["eventId"], "createdAt": at});
    assert_eq!(data["audit"], audit);
    for actor in ["Nova", "Op"] {
        let blocked = say(&client, actor, "hi").await;
        let want = json!({"tenantId": "default", "roomId": "main", "actorId": actor, "action": "say", "reasonCode": "ROOM_PAUSED",
            "pausedBy": "Op", "pausedAt": at, "correlationId": blocked.header("x-correlation-id")});
        assert_eq!(blocked.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED"), &want);
    }
    for (path, body) in [
        ("/v1/commands/enter", json!({})),
        ("/v1/commands/move", json!({"direction": "N"})),
        ("/v1/commands/order", json!({"itemId": "tea"})),
        ("/v1/intents/execute", json!({"intent": "navigate_to", "x": 1, "y": 1})),
        ("/v1/presence/heartbeat", json!({})),
    ] {
        let mut body = body;
        body["actorId"] = json!("Nova");
        let _ = client.act(path, body).await.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED");
    }
    assert_eq!(client.act("/v1/commands/leave", json!({"actorId": "Nova"})).await.status, 202);
    assert_eq!(
        client.act("/v1/commands/enter", json!({"actorId": "Nova", "roomId": "attic"})).await.status,
        202
    );
    let resumed = operate(&client, "resume_room", None).await.data().clone();
    let mut want = paused;
    for (name, value) in [
        ("roomPaused", json!(false)),
        ("pausedBy", json!(null)),
        ("pauseReason", json!(null)),
        ("pausedAt", json!(null)),
        ("resumedAt", resumed["action"]["at"].clone()),
        ("updatedAt", resumed["action"]["at"].clone()),
        ("metadata", json!({})),
    ] {
        want[name] = value;
    }
    assert_eq!(resumed["override"], want);
    assert_eq!(say(&client, "Nova", "hi").await.status, 202);
    let trail = client.get("/v1/operator/audit?action=pause_room").await.data()["entries"][0].clone();
    assert_eq!(trail, audit, "the trail keeps the reason");
}

/// All commands that post a message are blocked, and nothing else. The target gets an inbox item.
#[tokio::test]
async fn mute_blocks_messages_of_the_target_only() {
    let (_server, client) = cafe_with_operator().await;
    let body = json!({"roomId": "main", "operatorId": "Op", "action": "mute_agent", "targetActorId": " Kai ", "reason": "loud"});
    let data = client.act("/v1/operator/overrides", body).await.data().clone();
    let at = &data["action"]["at"];
    let mute = json!({"Kai": {"actorId": "Kai", "mutedBy": "Op", "mutedAt": at, "reason": "loud"}});
    assert_eq!(
        (&data["override"]["mutedActors"], &data["override"]["mutedActorIds"]),
        (&mute, &json!(["Kai"]))
    );
    let message = json!({"actorId": "Kai", "text": "hi"});
    for (path, action) in
        [("/v1/commands/say", "say"), ("/v1/conversations/messages", "conversation_message")]
    {
        let blocked = client.act(path, message.clone()).await;
        let want = json!({"tenantId": "default", "roomId": "main", "actorId": "Kai", "action": action, "reasonCode": "ACTOR_MUTED",
            "mutedBy": "Op", "mutedAt": at, "reason": "loud", "correlationId": blocked.header("x-correlation-id")});
        assert_eq!(blocked.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED"), &want);
    }
    assert_eq!(
        client.act("/v1/commands/order", json!({"actorId": "Kai", "itemId": "tea"})).await.status,
        202
    );
    for free in ["Nova", "kai", "constructor"] {
        assert_eq!(say(&client, free, "hi").await.status, 202, "{free}");
    }
    let inbox = client.get("/v1/inbox?actorId=Kai").await.data().clone();
    assert_eq!((&inbox["count"], &inbox["items"][0]["topic"]), (&json!(1), &json!("operator")));
    let said = json!({"topic": "operator", "action": "mute_agent", "targetActorId": "Kai", "reason": "loud"});
    assert_eq!(inbox["items"][0]["payload"], said);
    for _ in 0..2 {
        let data = operate(&client, "unmute_agent", Some("Kai")).await.data().clone();
        assert_eq!(
            (&data["override"]["mutedActors"], &data["override"]["mutedActorIds"]),
            (&json!({}), &json!([]))
        );
    }
    assert_eq!(say(&client, "Kai", "hi").await.status, 202);
}

/// Its presence is inactive and its position is the entrance. Every event names the operator.
#[tokio::test]
async fn force_leave_removes_the_target_which_may_return() {
    let (_server, client) = cafe_with_operator().await;
    let body = json!({"actorId": "Kai", "payload": {"position": {"x": 1, "y": 1}}});
    let _ = client.act("/v1/commands/enter", body).await.data();
    let data = operate(&client, "force_leave", Some("Kai")).await.data().clone();
    let events = log(&client).await.split_off(2);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["operator_override_applied", "agent_left", "status_changed"]);
    assert_eq!(data["emittedEvents"].as_array().unwrap().len(), 3);
    let (applied, left, changed) = (&events[0], &events[1], &events[2]);
    assert_eq!([&applied["actorId"], &left["actorId"], &changed["actorId"]], ["Op", "Kai", "Kai"]);
    assert_eq!((&left["causationId"], &changed["causationId"]), (&applied["eventId"], &left["eventId"]));
    assert!(events.iter().all(|event| event["correlationId"] == data["correlationId"]));
    let want = json!({"source": "operator", "reason": "operator_force_leave", "leftAt": left["timestamp"], "forced": true,
        "operatorId": "Op", "metadata": {}});
    assert_eq!(left["payload"], want);
    let payload = &changed["payload"];
    assert_eq!(
        [&payload["reason"], &payload["source"], &payload["operatorId"]],
        ["operator_force_leave", "operator", "Op"]
    );
    assert_eq!([&payload["fromStatus"], &payload["toStatus"]], ["idle", "inactive"]);
    assert_eq!(data["audit"]["eventId"], applied["eventId"]);
    let presence = client.get("/v1/presence?roomId=main&actorId=Kai").await.data()["presence"].clone();
    assert_eq!((&presence["status"], &presence["isActive"]), (&json!("inactive"), &json!(false)));
    let body = json!({"actorId": "Kai", "intent": "navigate_to", "x": 10, "y": 6});
    assert_eq!(
        client.act("/v1/intents/execute", body).await.data()["path"],
        json!([]),
        "its position is the entrance"
    );
    assert_eq!(client.act("/v1/commands/enter", json!({"actorId": "Kai"})).await.status, 202);
}

/// With the operator's reason; no presence is created or changed.
#[tokio::test]
async fn force_leave_of_an_absent_actor_appends_a_leave_event() {
    let (_server, client) = cafe_with_operator().await;
    let body = json!({"roomId": "main", "operatorId": "Op", "action": "force_leave", "targetActorId": "Ghost", "reason": "spam"});
    let data = client.act("/v1/operator/overrides", body).await.data().clone();
    let events = log(&client).await;
    assert_eq!((events.len(), data["emittedEvents"].as_array().unwrap().len()), (2, 2));
    assert_eq!((&events[1]["type"], &events[1]["payload"]["reason"]), (&json!("agent_left"), &json!("spam")));
    assert!(client.get("/v1/presence?roomId=main&actorId=Ghost").await.data()["presence"].is_null());
}

/// The action is trimmed, and case-sensitive.
#[tokio::test]
async fn override_fields_are_validated_in_order() {
    let (_server, client) = cafe_with_operator().await;
    let allowed = json!(["pause_room", "resume_room", "mute_agent", "unmute_agent", "force_leave"]);
    let unknown = json!({"field": "action", "allowed": allowed});
    let missing = |field: &str| json!({"field": field});
    let cases = [
        (json!({"tenantId": 7, "roomId": ""}), "ERR_VALIDATION", missing("tenantId")),
        (json!({"roomId": "", "operatorId": ""}), "ERR_MISSING_FIELD", missing("roomId")),
        (json!({"operatorId": "", "action": "dance"}), "ERR_MISSING_FIELD", missing("operatorId")),
        (json!({"action": "dance"}), "ERR_INVALID_ENUM", unknown.clone()),
        (json!({"action": "PAUSE_ROOM"}), "ERR_INVALID_ENUM", unknown.clone()),
        (json!({"action": null}), "ERR_INVALID_ENUM", unknown.clone()),
        (json!({"action": ["pause_room"], "targetActorId": 7}), "ERR_INVALID_ENUM", unknown),
        (json!({"targetActorId": 7, "reason": 7}), "ERR_VALIDATION", missing("targetActorId")),
        (json!({"action": "mute_agent"}), "ERR_MISSING_FIELD", missing("targetActorId")),
        (
            json!({"action": "unmute_agent", "targetActorId": " "}),
            "ERR_MISSING_FIELD",
            missing("targetActorId"),
        ),
        (json!({"action": "force_leave", "reason": 7}), "ERR_MISSING_FIELD", missing("targetActorId")),
        (json!({"reason": 7, "metadata": 7}), "ERR_VALIDATION", missing("reason")),
        (
            json!({"reason": "x".repeat(1_001)}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "reason", "max": 1_000, "value": 1_001}),
        ),
        (json!({"metadata": []}), "ERR_VALIDATION", missing("metadata")),
        (
            json!({"metadata": {"a": "x".repeat(70_000)}}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "metadata", "max": 65_536}),
        ),
    ];
    for (sent, code, details) in cases {
        let mut body = json!({"roomId": "main", "operatorId": "Op", "action": "pause_room"});
        sent.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        // The body is validated before the rights of the operator.
        for operator in ["Op", "Nobody"] {
            if body["operatorId"] != "" {
                body["operatorId"] = json!(operator);
            }
            let answer = client.act("/v1/operator/overrides", body.clone()).await;
            let got = answer.error(400, code);
            details
                .as_object()
                .unwrap()
                .iter()
                .for_each(|(name, want)| assert_eq!(&got[name], want, "{sent}"));
        }
    }
    assert!(log(&client).await.is_empty());
    let body = json!({"roomId": " main ", "operatorId": "Op", "action": " pause_room\n"});
    let answer = client.act("/v1/operator/overrides", body).await;
    assert_eq!(
        (&answer.data()["action"]["action"], &answer.data()["audit"]["action"]),
        (&json!("pause_room"), &json!("pause_room"))
    );
}

/// The denial is in the audit trail, has no other effect, and the key stays free.
#[tokio::test]
async fn override_by_a_non_operator_is_denied_and_audited() {
    let (_server, client) = cafe_with_operator().await;
    let cases = [
        (
            json!({"roomId": "main", "operatorId": "Nova", "action": "force_leave", "targetActorId": "Kai", "reason": "r", "metadata": {"m": 1}}),
            "default",
        ),
        (json!({"roomId": "attic", "operatorId": "Op", "action": "pause_room"}), "default"),
        (json!({"roomId": "main", "tenantId": "acme", "operatorId": "Op", "action": "pause_room"}), "acme"),
    ];
    for (body, tenant) in cases {
        let answer = client.post("/v1/operator/overrides", "k", body.clone()).await;
        let want = json!({"tenantId": tenant, "roomId": body["roomId"], "actorId": body["operatorId"], "capability": "canModerate",
            "action": body["action"], "correlationId": answer.header("x-correlation-id")});
        assert_eq!(answer.error(403, "ERR_FORBIDDEN"), &want);
        let trail =
            client.get(&format!("/v1/operator/audit?tenantId={tenant}")).await.data()["entries"].clone();
        let entry = &trail[0];
        for name in ["roomId", "operatorId", "action", "targetActorId", "reason"] {
            assert_eq!(entry.get(name), body.get(name).or(Some(&json!(null))), "{name}: {entry}");
        }
        assert_eq!((&entry["outcome"], &entry["eventId"]), (&json!("denied"), &json!(null)));
        assert_eq!(
            (&entry["correlationId"], entry["requestId"].as_str()),
            (&want["correlationId"], answer.header("x-request-id"))
        );
        assert_eq!(entry["metadata"], body.get("metadata").cloned().unwrap_or(json!({})));
    }
    assert!(log(&client).await.is_empty());
    assert_eq!(client.get("/v1/operator/overrides").await.data()["count"], 0);
    let body = json!({"roomId": "main", "operatorId": "Op", "action": "force_leave", "targetActorId": "Kai"});
    let answer = client.post("/v1/operator/overrides", "k", body).await;
    assert_eq!((answer.status, answer.header("x-idempotent-replay")), (202, None));
}

/// Another action or target is another scope.
#[tokio::test]
async fn override_takes_effect_once_per_key() {
    let (_server, client) = cafe_with_operator().await;
    let body = |action: &str, target: &str, reason: &str| json!({"roomId": "main", "operatorId": "Op", "action": action, "targetActorId": target, "reason": reason});
    let send = |body: Value| client.post("/v1/operator/overrides", "k", body);
    let first = send(body("mute_agent", "Kai", "a")).await;
    let again = send(body("mute_agent", "Kai", "a")).await;
    assert_eq!((again.data(), again.header("x-idempotent-replay")), (first.data(), Some("true")));
    let conflict = send(body("mute_agent", "Kai", "b")).await;
    let details = conflict.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
    assert_eq!(details["scope"], "default:main:operator-overrides:mute_agent:Kai");
    assert_eq!(send(body("mute_agent", "Bo", "a")).await.header("x-idempotent-replay"), None);
    let pause = json!({"roomId": "main", "operatorId": "Op", "action": "pause_room"});
    assert_eq!(send(pause.clone()).await.status, 202);
    let conflict =
        send(json!({"roomId": "main", "operatorId": "Op", "action": "pause_room", "reason": "x"})).await;
    assert_eq!(
        conflict.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"],
        "default:main:operator-overrides:pause_room:-"
    );
    assert_eq!(log(&client).await.len(), 3);
    assert_eq!(client.get("/v1/operator/audit").await.data()["count"], 4, "with the grant");
}

/// Also after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutes_at_the_same_time_are_all_kept() {
    let (mut server, client) = cafe_with_operator().await;
    let sent = (0..16).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { operate(&client, "mute_agent", Some(&format!("a{n:02}"))).await.status })
    });
    for one in sent.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 202);
    }
    let want: Vec<_> = (0..16).map(|n| format!("a{n:02}")).collect();
    let before = state(&client).await;
    assert_eq!(before["mutedActorIds"], json!(want));
    assert_eq!(operate(&client, "pause_room", None).await.status, 202);
    let before = state(&client).await;
    server.restart().await;
    let client = server.client();
    assert_eq!(state(&client).await, before);
    let _ = say(&client, "Nova", "hi").await.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED");
    assert_eq!(operate(&client, "resume_room", None).await.status, 202);
    let blocked = say(&client, "a07", "hi").await;
    assert_eq!(blocked.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED")["reasonCode"], "ACTOR_MUTED");
}

/// The states of all rooms of a tenant.
#[tokio::test]
async fn overrides_are_listed_newest_first_and_paged() {
    let (_server, client) = cafe().await;
    for room in ["a", "b", "c"] {
        promote(&client, "Op", room).await;
        let body = json!({"roomId": room, "operatorId": "Op", "action": "pause_room"});
        assert_eq!(client.act("/v1/operator/overrides", body).await.status, 202);
    }
    let list = async |query: &str| client.get(&format!("/v1/operator/overrides{query}")).await.data().clone();
    let whole = list("").await;
    assert_eq!((&whole["count"], &whole["nextCursor"]), (&json!(3), &json!(null)));
    let rows = whole["overrides"].as_array().unwrap();
    assert!(rows.is_sorted_by(|newer, older| newer["updatedAt"].as_str() >= older["updatedAt"].as_str()));
    let first = list("?limit=2").await;
    let second = list(&format!("?limit=2&cursor={}", first["nextCursor"].as_str().unwrap())).await;
    let paged =
        [first["overrides"].as_array().unwrap().clone(), second["overrides"].as_array().unwrap().clone()];
    assert_eq!(json!(paged.concat()), whole["overrides"]);
    assert_eq!(list("?tenantId=acme").await["count"], 0);
}

#[tokio::test]
async fn strict_mode_limits_override_and_audit_reads_to_operators() {
    let server = launch().env("PERMISSIONS_MODE", "strict").start().await;
    let client = server.client();
    promote(&client, "Op", "main").await;
    for (path, action) in
        [("/v1/operator/overrides", "operator_overrides_read"), ("/v1/operator/audit", "operator_audit_read")]
    {
        let _ = client.get(&format!("{path}?operatorId=Op")).await.error(400, "ERR_MISSING_FIELD");
        for (query, who) in [
            ("roomId=main", "system"),
            ("roomId=main&operatorId=Nova", "Nova"),
            ("roomId=attic&operatorId=Op", "Op"),
            ("roomId=main&operatorId=Op&viewerActorId=Nova", "Nova"),
            ("roomId=main&operatorId=Op&tenantId=acme", "Op"),
        ] {
            let answer = client.get(&format!("{path}?{query}")).await;
            let details = answer.error(403, "ERR_FORBIDDEN");
            assert_eq!(
                [&details["actorId"], &details["capability"], &details["action"]],
                [who, "canModerate", action],
                "{query}"
            );
        }
        for query in ["roomId=main&operatorId=Op", "roomId=main&viewerActorId=Op"] {
            assert_eq!(client.get(&format!("{path}?{query}")).await.status, 200, "{path} {query}");
        }
    }
    let _ = operate(&client, "pause_room", None).await.data();
    let others = client.get("/v1/operator/audit?roomId=main&viewerActorId=Op&operatorId=Nova").await;
    assert_eq!(others.data()["count"], 0, "operatorId filters, viewerActorId is the reader");
}
