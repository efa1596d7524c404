//! Sessions of private tables: purchase, changes, expiry.

use agentcafe_testkit::{Client, Method, SHARED_TOKEN, Value, eventually, fresh_key, json};

use crate::table_fixtures::{LATER_MS, SOON, from_now, has_passed, open, text, try_open};
use crate::{cafe, launch, log, merged};

const PAYMENT: [&str; 3] = ["paymentRef", "paymentAmountUsd", "paymentProvider"];

async fn change(client: &Client, session: &Value, actor: &str, fields: Value) -> agentcafe_testkit::Answer {
    let path = format!("/v1/table-sessions/{}", text(&session["sessionId"]));
    let body = merged(json!({"actorId": actor}), &fields);
    client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(&event["type"])).collect()
}

/// Two events in order, the second caused by the first.
#[tokio::test]
async fn session_purchase_creates_its_private_room() {
    let (_server, client) = cafe().await;
    let answer = try_open(
        &client,
        " Cappuccino ",
        json!({"displayName": "Den", "invitedActorIds": ["Kai", "Nova", " Kai "],
        "metadata": {"a": 1}, "paymentRef": "bill-7"}),
    )
    .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let (room, session) = (&answer.data()["room"], &answer.data()["session"]);
    assert_eq!(
        (&room["roomType"], &room["ownerActorId"], &room["displayName"]),
        (&json!("private_table"), &json!("Nova"), &json!("Den"))
    );
    assert_eq!(
        (&session["planId"], &session["maxAgents"], &session["status"]),
        (&json!("cappuccino"), &json!(4), &json!("active"))
    );
    assert_eq!(session["invitedActorIds"], json!(["Kai"]), "each guest once, without the owner");
    assert_eq!(
        (&session["paymentRef"], &session["paymentAmountUsd"], &session["paymentProvider"]),
        (&json!("bill-7"), &json!(6), &json!("stub"))
    );
    let events = log(&client).await;
    assert_eq!(types(&events), ["room_created", "table_session_created"]);
    assert_eq!(events[1]["causationId"], events[0]["eventId"]);
    assert_eq!(events[1]["correlationId"], answer.data()["correlationId"]);
    assert_eq!(answer.data()["emittedEvents"].as_array().unwrap().len(), 2);
    for name in ["sessionId", "planId", "invitedActorIds", "status", "startedAt", "expiresAt", "metadata"] {
        assert_eq!(events[1]["payload"][name], session[name], "{name}");
    }
    for event in &events {
        assert!(
            event["payload"].as_object().unwrap().keys().all(|name| !name.starts_with("payment")),
            "{event}"
        );
    }
}

#[tokio::test]
async fn session_without_room_id_creates_one_room_per_key() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "planId": "espresso", "paymentProof": "coffee_paid"});
    let first = client.post("/v1/table-sessions", "k", body.clone()).await;
    let room = first.data()["room"]["roomId"].as_str().unwrap();
    assert!(room.starts_with("private-") && room.len() == 16, "{room}");
    let copy = client.post("/v1/table-sessions", "k", body.clone()).await;
    assert_eq!((copy.text.as_str(), copy.header("x-idempotent-replay")), (first.text.as_str(), Some("true")));
    let other = client.post("/v1/table-sessions", "l", body).await;
    assert_ne!(other.data()["room"]["roomId"], *room);
}

#[tokio::test]
async fn session_fields_are_validated_in_order() {
    let (_server, client) = cafe().await;
    let many: Vec<String> = (0..9).map(|number| format!("guest-{number}")).collect();
    let past = from_now(&client, -60_000).await;
    let far = from_now(&client, 31 * 60_000).await;
    let cases = [
        (json!({"planId": " "}), 400, "ERR_MISSING_FIELD", "planId"),
        (json!({"planId": "constructor"}), 400, "ERR_INVALID_ENUM", "planId"),
        (json!({"invitedActorIds": "Kai"}), 400, "ERR_VALIDATION", "invitedActorIds"),
        (json!({"invitedActorIds": many}), 400, "ERR_OUT_OF_BOUNDS", "invitedActorIds"),
        (json!({"paymentAmountUsd": -1}), 400, "ERR_OUT_OF_BOUNDS", "paymentAmountUsd"),
        (json!({"paymentAmountUsd": 2.99}), 402, "ERR_PAYMENT_REQUIRED", "paymentAmountUsd"),
        (json!({"startedAt": "soon"}), 400, "ERR_VALIDATION", "startedAt"),
        (json!({"expiresAt": past}), 400, "ERR_OUT_OF_BOUNDS", "expiresAt"),
        (json!({"expiresAt": far}), 400, "ERR_OUT_OF_BOUNDS", "expiresAt"),
        (json!({"expiresAt": "2099-01-01T00:00:00Z"}), 400, "ERR_OUT_OF_BOUNDS", "expiresAt"),
    ];
    for (fields, status, code, field) in cases {
        let answer = try_open(&client, "espresso", fields).await;
        assert_eq!(answer.error(status, code)["field"], field, "{}", answer.text);
    }
    let unpaid = try_open(&client, "espresso", json!({"paymentProof": "tea_paid"})).await;
    let details = unpaid.error(402, "ERR_PAYMENT_REQUIRED");
    assert_eq!(
        (&details["mode"], &details["roomId"], &details["ownerActorId"]),
        (&json!("stub"), &json!("den"), &json!("Nova"))
    );
    assert!(!unpaid.text.contains("coffee_paid"), "the proof is not shown");
    assert!(log(&client).await.is_empty(), "nothing was written");
}

/// A session needs a private room of the buyer; a room has one active session.
#[tokio::test]
async fn session_is_refused_for_an_occupied_or_foreign_room() {
    let (_server, client) = cafe().await;
    let lobby = json!({"actorId": "Nova", "roomId": "lobby"});
    let _ = client.act("/v1/rooms", lobby).await.data();
    let answer = try_open(&client, "espresso", json!({"roomId": "lobby"})).await;
    assert_eq!(answer.error(400, "ERR_VALIDATION")["roomType"], "lobby");
    let private = json!({"actorId": "Nova", "roomId": "den", "roomType": "private_table", "paymentProof": "coffee_paid"});
    let _ = client.act("/v1/rooms", private).await.data();
    let _ = try_open(&client, "espresso", json!({"actorId": "Kai"})).await.error(403, "ERR_FORBIDDEN");
    let session = open(&client, "espresso", json!({})).await;
    let second = try_open(&client, "americano", json!({})).await;
    assert_eq!(second.error(400, "ERR_VALIDATION")["sessionId"], session["sessionId"]);
    let _ = change(&client, &session, "Nova", json!({"status": "ended"})).await.data();
    let renewed = open(&client, "americano", json!({})).await;
    assert_ne!(renewed["sessionId"], session["sessionId"]);
}

/// Without a session its owner may make it public.
#[tokio::test]
async fn room_with_an_active_session_stays_private() {
    let (_server, client) = cafe().await;
    let session = open(&client, "espresso", json!({})).await;
    let lobby = json!({"actorId": "Nova", "roomId": "den", "roomType": "lobby"});
    let answer = client.act("/v1/rooms", lobby.clone()).await;
    assert_eq!(answer.error(403, "ERR_FORBIDDEN")["sessionId"], session["sessionId"]);
    let _ = change(&client, &session, "Nova", json!({"status": "ended"})).await.data();
    assert_eq!(client.act("/v1/rooms", lobby).await.data()["room"]["roomType"], "lobby");
}

/// Whatever the features of the plan.
#[tokio::test]
async fn session_is_changed_by_its_owner_and_never_extended() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let session = open(&client, "espresso", json!({})).await;
    let sooner = from_now(&client, 600_000).await;
    let changed = change(
        &client,
        &session,
        "Nova",
        json!({"invitedActorIds": ["Kai"], "expiresAt": sooner, "metadata": {"b": 1}}),
    )
    .await;
    let after = &changed.data()["session"];
    assert_eq!((&after["invitedActorIds"], &after["metadata"]), (&json!(["Kai"]), &json!({"b": 1})));
    assert!(after["paymentRef"].is_string(), "the owner sees the payment");
    let event = log(&client).await.pop().unwrap();
    assert_eq!(event["type"], "table_session_updated");
    assert_eq!(event["payload"]["changedFields"], json!(["invitedActorIds", "expiresAt", "metadata"]));
    let details = change(&client, &session, "Nova", json!({"expiresAt": session["expiresAt"]})).await;
    assert_eq!(details.error(400, "ERR_OUT_OF_BOUNDS")["field"], "expiresAt");
    let earlier = change(&client, &session, "Nova", json!({"startedAt": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(earlier.error(400, "ERR_OUT_OF_BOUNDS")["field"], "startedAt");
    let nothing = change(&client, &session, "Nova", json!({"planId": "americano"})).await;
    assert_eq!(nothing.error(400, "ERR_VALIDATION")["fields"].as_array().unwrap().len(), 6);
    let guest = change(&client, &session, "Kai", json!({"status": "ended"})).await;
    assert_eq!(guest.error(403, "ERR_FORBIDDEN")["capability"], "canModerate");
    let ended = change(&client, &session, "Nova", json!({"status": "ended"})).await;
    assert!(ended.data()["session"]["endedAt"].is_string());
    let events = log(&client).await;
    let last = &events[events.len() - 2..];
    assert_eq!(types(last), ["table_session_updated", "table_session_ended"]);
    assert_eq!(last[1]["causationId"], last[0]["eventId"]);
    assert_eq!(
        last[1]["payload"],
        json!({"sessionId": session["sessionId"], "endedAt": ended.data()["session"]["endedAt"], "ownerActorId": "Nova"})
    );
    let revived = change(&client, &session, "Nova", json!({"status": "active"})).await;
    assert_eq!(revived.error(400, "ERR_VALIDATION")["field"], "status");
}

/// Who names another viewer than the owner sees no payment.
#[tokio::test]
async fn sessions_are_listed_with_filters() {
    let (_server, client) = cafe().await;
    let session = open(&client, "espresso", json!({})).await;
    let id = session["sessionId"].as_str().unwrap();
    let whole = client.get(&format!("/v1/table-sessions/{id}?viewerActorId=Nova")).await;
    assert_eq!(whole.data()["session"], session);
    assert_eq!(client.get(&format!("/v1/table-sessions/{id}")).await.data()["session"], session);
    let seen = client.get(&format!("/v1/table-sessions/{id}?viewerActorId=Kai")).await;
    assert_eq!(seen.data()["session"]["planId"], "espresso");
    for name in PAYMENT {
        assert!(seen.data()["session"].get(name).is_none(), "{name} is the owner's");
    }
    for (query, count) in [
        ("", 1),
        ("?roomId=den&status=active", 1),
        ("?status=ended", 0),
        ("?ownerActorId=Kai", 0),
        ("?tenantId=x", 0),
    ] {
        assert_eq!(client.get(&format!("/v1/table-sessions{query}")).await.data()["count"], count, "{query}");
    }
    for path in [format!("/v1/table-sessions/{id}?tenantId=x"), "/v1/table-sessions/none".to_owned()] {
        let _ = client.get(&path).await.error(404, "ERR_NOT_FOUND");
    }
    let foreign = json!({"sessionId": "0190b5a0-0000-7000-8000-000000000000"});
    let _ = change(&client, &foreign, "Nova", json!({"status": "ended"})).await.error(404, "ERR_NOT_FOUND");
}

/// Of API keys, only the owner's and those of admins read it, with the session; an invited actor gets it by no read.
#[tokio::test]
async fn session_payment_is_shown_to_its_owner_and_admins() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let agent = async |actor: &str| {
        let body = json!({"actors": [actor], "scopes": ["act", "listen", "follow", "inbox", "host"]});
        root.make_key(body).await.client
    };
    let (nova, kai) = (agent("Nova").await, agent("Kai").await);
    let admin = root.make_key(json!({"kind": "admin"})).await.client;
    let bill = json!({"invitedActorIds": ["Kai"], "paymentRef": "bill-7"});
    let session = open(&nova, "espresso", bill).await;
    let by_id = format!("/v1/table-sessions/{}", text(&session["sessionId"]));
    for (reader, client, sees) in
        [("owner", &nova, true), ("guest", &kai, false), ("admin", &admin, true), ("root", &root, true)]
    {
        let listed = client.get("/v1/table-sessions").await.data()["sessions"][0].clone();
        for seen in [&listed, &client.get(&by_id).await.data()["session"]] {
            assert_eq!(seen["sessionId"], session["sessionId"], "{reader}");
            for name in PAYMENT {
                assert_eq!(seen.get(name), session.get(name).filter(|_| sees), "{reader}: {name}");
            }
        }
    }
    for path in ["/v1/events", "/v1/rooms/den", "/v1/rooms", "/v1/bootstrap?roomId=den"] {
        let answer = nova.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(
            !answer.text.contains("bill-7") && !answer.text.contains("paymentRef"),
            "{path}: {}",
            answer.text
        );
    }
}

/// One pair of events.
#[tokio::test]
async fn session_expires_once_also_while_the_server_is_down() {
    let mut server = launch().env("TABLE_SESSION_SWEEP_MS", 1_000).start().await;
    let client = server.client();
    let expires_at = from_now(&client, LATER_MS).await;
    let session = open(&client, "espresso", json!({"expiresAt": expires_at})).await;
    server.kill();
    server.restart().await;
    let client = server.client();
    eventually("the session has ended", SOON, async || {
        let sessions = client.get("/v1/table-sessions?status=ended").await;
        (sessions.data()["count"] == 1).then_some(())
    })
    .await;
    assert!(has_passed(&client, session["expiresAt"].as_str().unwrap()).await);
    server.restart().await;
    let client = server.client();
    let events = log(&client).await;
    assert_eq!(
        types(&events),
        ["room_created", "table_session_created", "table_session_updated", "table_session_ended"]
    );
    assert_eq!(events[2]["payload"]["changedFields"], json!(["status", "endedAt"]));
    assert_eq!((&events[3]["payload"]["reason"], &events[3]["actorId"]), (&json!("expired"), &json!("Nova")));
    assert_eq!(events[3]["causationId"], events[2]["eventId"]);
    assert_eq!(events[3]["correlationId"], events[2]["correlationId"]);
    assert_ne!(events[3]["correlationId"], events[1]["correlationId"]);
}
