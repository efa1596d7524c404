//! The pinned context of a room: versions, history, who may pin, and when.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe_with_operator, launch, log, promote};

async fn pin(client: &Client, content: &str) -> Value {
    let answer = client.act("/v1/rooms/context/pin", json!({"actorId": "Op", "content": content})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data().clone()
}

#[tokio::test]
async fn pin_replaces_the_active_version_and_keeps_the_history() {
    let (mut server, client) = cafe_with_operator().await;
    let nothing = json!({"tenantId": "default", "roomId": "main", "pinnedContext": null, "isPinned": false});
    assert_eq!(client.get("/v1/rooms/context/pin").await.data(), &nothing);
    let history =
        json!({"tenantId": "default", "roomId": "main", "history": [], "count": 0, "nextCursor": null});
    assert_eq!(client.get("/v1/rooms/context/history").await.data(), &history);
    let body = json!({"actorId": "Op", "content": " Be kind. ", "metadata": {"a": 1}});
    let answer = client.act("/v1/rooms/context/pin", body).await;
    let data = answer.data();
    let first = data["pinnedContext"].clone();
    let want = json!({"tenantId": "default", "roomId": "main", "version": 1, "content": "Be kind.", "metadata": {"a": 1},
        "pinnedBy": "Op", "isActive": true, "createdAt": first["createdAt"], "updatedAt": first["createdAt"]});
    assert_eq!((answer.status, &first), (201, &want));
    let events = log(&client).await;
    assert_eq!(events.len(), 1);
    assert_eq!((&data["eventId"], &data["sequence"]), (&events[0]["eventId"], &events[0]["sequence"]));
    assert_eq!((&events[0]["type"], &events[0]["actorId"]), (&json!("room_context_pinned"), &json!("Op")));
    assert_eq!(
        events[0]["payload"],
        json!({"version": 1, "content": "Be kind.", "metadata": {"a": 1}, "pinnedBy": "Op"})
    );
    assert_eq!(data["correlationId"].as_str(), answer.header("x-correlation-id"));
    let second = pin(&client, "Be quick.").await["pinnedContext"].clone();
    let third = pin(&client, "Be both.").await["pinnedContext"].clone();
    assert_eq!(
        (&second["version"], &third["version"], &third["metadata"]),
        (&json!(2), &json!(3), &json!({}))
    );
    server.restart().await;
    let client = server.client();
    let pinned = json!({"tenantId": "default", "roomId": "main", "pinnedContext": third, "isPinned": true});
    assert_eq!(client.get("/v1/rooms/context/pin?roomId=main").await.data(), &pinned);
    let rows = client.get("/v1/rooms/context/history").await.data()["history"].clone();
    let replaced = |pin: &Value, by: &Value| {
        let mut pin = pin.clone();
        (pin["isActive"], pin["updatedAt"]) = (json!(false), by["createdAt"].clone());
        pin
    };
    assert_eq!(rows, json!([third, replaced(&second, &third), replaced(&first, &second)]));
    assert_eq!(client.get("/v1/bootstrap").await.data()["room"]["pinnedContext"], third);
}

#[tokio::test]
async fn pin_history_is_paged_per_room_and_tenant() {
    let (_server, client) = cafe_with_operator().await;
    for n in 1..=5 {
        pin(&client, &format!("v{n}")).await;
    }
    let (mut versions, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page =
            client.get(&format!("/v1/rooms/context/history?limit=2&cursor={cursor}")).await.data().clone();
        versions
            .extend(page["history"].as_array().unwrap().iter().map(|row| row["version"].as_u64().unwrap()));
        cursor = page["nextCursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((versions, cursor.as_str()), (vec![5, 4, 3, 2, 1], ""));
    for query in ["roomId=attic", "tenantId=acme"] {
        assert_eq!(client.get(&format!("/v1/rooms/context/history?{query}")).await.data()["count"], 0);
        assert_eq!(client.get(&format!("/v1/rooms/context/pin?{query}")).await.data()["isPinned"], false);
    }
    promote(&client, "Op", "attic").await;
    let body = json!({"roomId": "attic", "actorId": "Op", "content": "c"});
    assert_eq!(client.act("/v1/rooms/context/pin", body).await.data()["pinnedContext"]["version"], 1);
    let _ = client.get("/v1/rooms/context/history?limit=x").await.error(400, "ERR_VALIDATION");
    let _ = client.get("/v1/rooms/context/history?cursor=x").await.error(400, "ERR_VALIDATION");
}

/// One of them is active.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_at_the_same_time_get_consecutive_versions() {
    let (_server, client) = cafe_with_operator().await;
    promote(&client, "Op", "attic").await;
    let sent = (0..30).map(|n| {
        let client = client.clone();
        let room = if n % 3 == 0 { "attic" } else { "main" };
        let body = json!({"roomId": room, "actorId": "Op", "content": format!("c{n}")});
        tokio::spawn(async move { client.act("/v1/rooms/context/pin", body).await.status })
    });
    for one in sent.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 201);
    }
    for (room, count) in [("main", 20), ("attic", 10)] {
        let page = client.get(&format!("/v1/rooms/context/history?roomId={room}")).await.data().clone();
        let rows = page["history"].as_array().unwrap();
        let versions: Vec<_> = rows.iter().map(|row| row["version"].as_u64().unwrap()).collect();
        assert_eq!(versions, (1..=count).rev().collect::<Vec<u64>>(), "{room}");
        let active: Vec<_> = rows.iter().map(|row| row["isActive"] == true).collect();
        assert!(active[0] && !active[1..].contains(&true), "{room}: {active:?}");
    }
}

/// A pause blocks operators, too. A refused pin has no effect.
#[tokio::test]
async fn pin_checks_fields_then_rights_then_pause_then_moderation() {
    let server = launch().env("MOD_MAX_ACTIONS_PER_WINDOW", 1).start().await;
    let client = server.client();
    let send = |body: Value| {
        let client = client.clone();
        async move { client.act("/v1/rooms/context/pin", body).await }
    };
    let long = "ü".repeat(16 * 1_024 + 1);
    let cases = [
        (json!({"actorId": "", "content": ""}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (json!({"actorId": "Nova", "content": " "}), "ERR_MISSING_FIELD", json!({"field": "content"})),
        (json!({"actorId": "Nova", "content": 7}), "ERR_MISSING_FIELD", json!({"field": "content"})),
        (
            json!({"actorId": "Nova", "content": long, "metadata": 7}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "content", "max": 16_384, "value": 16_385}),
        ),
        (
            json!({"actorId": "Nova", "content": "c", "metadata": []}),
            "ERR_VALIDATION",
            json!({"field": "metadata"}),
        ),
    ];
    for (body, code, details) in cases {
        let answer = send(body.clone()).await;
        let got = answer.error(400, code);
        details.as_object().unwrap().iter().for_each(|(name, want)| assert_eq!(&got[name], want, "{body}"));
    }
    let valid = json!({"actorId": "Op", "content": "c"});
    let answer = send(valid.clone()).await;
    let want = json!({"tenantId": "default", "roomId": "main", "actorId": "Op", "capability": "canModerate",
        "action": "room_context_pin", "correlationId": answer.header("x-correlation-id")});
    assert_eq!(answer.error(403, "ERR_FORBIDDEN"), &want);
    promote(&client, "Op", "main").await;
    let operate = |action: &str| {
        let body = json!({"roomId": "main", "operatorId": "Op", "action": action});
        client.act("/v1/operator/overrides", body)
    };
    let _ = operate("pause_room").await.data();
    let blocked = send(valid.clone()).await;
    let details = blocked.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED");
    assert_eq!([&details["action"], &details["reasonCode"]], ["room_context_pin", "ROOM_PAUSED"]);
    let _ = operate("resume_room").await.data();
    assert_eq!(
        send(json!({"actorId": "Op", "content": &long[2..]})).await.status,
        201,
        "operators' actions do not count"
    );
    let details = send(valid).await.error(429, "ERR_MODERATION_BLOCKED").clone();
    assert_eq!([&details["action"], &details["reasonCode"]], ["room_context_pin", "MOD_RATE_LIMIT"]);
    assert_eq!(client.get("/v1/rooms/context/history").await.data()["count"], 1);
}

/// Whoever sends it.
#[tokio::test]
async fn pin_takes_effect_once_per_key_and_room() {
    let (_server, client) = cafe_with_operator().await;
    let body = json!({"actorId": "Op", "content": "c"});
    let first = client.post("/v1/rooms/context/pin", "k", body.clone()).await;
    let again = client.post("/v1/rooms/context/pin", "k", body).await;
    assert_eq!(
        (again.status, again.data(), again.header("x-idempotent-replay")),
        (201, first.data(), Some("true"))
    );
    let other = client.post("/v1/rooms/context/pin", "k", json!({"actorId": "Op", "content": "d"})).await;
    assert_eq!(other.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"], "default:main:room-context:pin");
    assert_eq!(client.get("/v1/rooms/context/history").await.data()["count"], 1);
}
