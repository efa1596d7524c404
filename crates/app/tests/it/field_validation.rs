//! Fields of mutations: allowed values, and the error for each violation.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, log};

/// A body with one invalid field, the error code, and details that the error has.
type Case = (Value, &'static str, Value);

/// Sends each body to `path` as Nova: it is refused with 400, and has no effect.
async fn check(client: &Client, path: &str, cases: &[Case]) {
    for (body, code, details) in cases {
        let mut body = body.clone();
        if body.get("actorId").is_none() {
            body["actorId"] = json!("Nova");
        }
        let answer = client.act(path, body.clone()).await;
        assert_eq!(
            (answer.status, &answer.json["error"]["code"]),
            (400, &json!(code)),
            "{path} {body}: {}",
            answer.text
        );
        let got = answer.error(400, code);
        for (name, want) in details.as_object().into_iter().flatten() {
            assert_eq!(&got[name], want, "{path} {body}: {got}");
        }
        let correlation_id = got["correlationId"].as_str();
        assert_eq!(correlation_id, answer.header("x-correlation-id"), "{path} {body}");
    }
    assert!(log(client).await.is_empty(), "{path}");
}

/// Every mutation needs who acts. Ids have at most 128 characters, without control characters.
#[tokio::test]
async fn mutation_without_valid_ids_is_refused() {
    let (_server, client) = cafe().await;
    let long = "x".repeat(129);
    let cases: Vec<Case> = vec![
        (json!({"actorId": null}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (json!({"actorId": ""}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (json!({"actorId": " \t"}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        // Nor does a text that shows nothing.
        (json!({"actorId": "\u{200b}\u{2060} "}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (json!({"actorId": 7}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (json!({"actorId": ["Nova"]}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (json!({"actorId": long}), "ERR_VALIDATION", json!({"field": "actorId"})),
        (json!({"actorId": "a\u{7}b"}), "ERR_VALIDATION", json!({"field": "actorId"})),
        (json!({"roomId": 7}), "ERR_VALIDATION", json!({"field": "roomId"})),
        (json!({"roomId": {}}), "ERR_VALIDATION", json!({"field": "roomId"})),
        (json!({"roomId": long}), "ERR_VALIDATION", json!({"field": "roomId"})),
        (json!({"tenantId": []}), "ERR_VALIDATION", json!({"field": "tenantId"})),
        (json!({"tenantId": "a\nb"}), "ERR_VALIDATION", json!({"field": "tenantId"})),
        (json!({"tenantId": 7, "roomId": 7, "actorId": 7}), "ERR_VALIDATION", json!({"field": "tenantId"})),
    ];
    for path in [
        "/v1/commands/enter",
        "/v1/commands/leave",
        "/v1/commands/move",
        "/v1/commands/say",
        "/v1/commands/order",
        "/v1/conversations/messages",
        "/v1/intents/execute",
        "/v1/presence/heartbeat",
        "/v1/tasks",
        "/v1/objects",
        "/v1/snapshots/agent",
        "/v1/inbox/ack",
        "/v1/inbox/0190b5a0-0000-7000-8000-000000000000/ack",
    ] {
        check(&client, path, &cases).await;
    }
}

#[tokio::test]
async fn say_fields_are_validated() {
    let (_server, client) = cafe().await;
    let long = "x".repeat(129);
    let cases: Vec<Case> = vec![
        (json!({}), "ERR_MISSING_FIELD", json!({"field": "text"})),
        (json!({"text": ""}), "ERR_MISSING_FIELD", json!({"field": "text"})),
        (json!({"text": " \n"}), "ERR_MISSING_FIELD", json!({"field": "text"})),
        (json!({"text": 5}), "ERR_MISSING_FIELD", json!({"field": "text"})),
        (
            json!({"text": "x".repeat(121)}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "text", "max": 120, "value": 121}),
        ),
        (json!({"text": "hi", "causationId": 5}), "ERR_VALIDATION", json!({"field": "causationId"})),
        (json!({"text": "hi", "metadata": []}), "ERR_VALIDATION", json!({"field": "metadata"})),
        (json!({"text": "hi", "metadata": "x"}), "ERR_VALIDATION", json!({"field": "metadata"})),
        (json!({"text": "hi", "ttlMs": "soon"}), "ERR_OUT_OF_BOUNDS", json!({"field": "ttlMs"})),
        (
            json!({"text": "hi", "contextWindowMaxItems": {}}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "contextWindowMaxItems"}),
        ),
        (json!({"text": "hi", "messageId": long}), "ERR_OUT_OF_BOUNDS", json!({"field": "messageId"})),
        (json!({"text": "hi", "threadId": long}), "ERR_OUT_OF_BOUNDS", json!({"field": "threadId"})),
        (json!({"text": "hi", "mentions": ["a\u{7}"]}), "ERR_VALIDATION", json!({"field": "mentions"})),
        (json!({"text": "hi", "mentions": [long]}), "ERR_VALIDATION", json!({"field": "mentions"})),
    ];
    for path in ["/v1/commands/say", "/v1/conversations/messages"] {
        check(&client, path, &cases).await;
    }
}

/// The direction is checked before the steps. The error contains the value that was sent.
#[tokio::test]
async fn move_fields_are_validated() {
    let (_server, client) = cafe().await;
    let direction = json!({"field": "direction", "allowed": ["N", "S", "E", "W"]});
    let steps = |value: Value| json!({"field": "steps", "min": 1, "max": 50, "value": value});
    let cases: Vec<Case> = vec![
        (json!({}), "ERR_MISSING_FIELD", json!({"field": "direction"})),
        (json!({"direction": 1}), "ERR_MISSING_FIELD", json!({"field": "direction"})),
        (json!({"direction": "up"}), "ERR_INVALID_DIRECTION", direction.clone()),
        (json!({"direction": "NE", "steps": 0}), "ERR_INVALID_DIRECTION", direction),
        (json!({"direction": "N", "steps": "far"}), "ERR_OUT_OF_BOUNDS", steps(json!("far"))),
        (
            json!({"direction": "N", "steps": []}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "steps", "min": 1, "max": 50}),
        ),
        (json!({"direction": "N", "intent": 5}), "ERR_VALIDATION", json!({"field": "intent"})),
        (json!({"direction": "N", "causationId": {}}), "ERR_VALIDATION", json!({"field": "causationId"})),
    ];
    check(&client, "/v1/commands/move", &cases).await;
    for (sent, meant) in
        [(json!(0), 0.0), (json!(-3), -3.0), (json!(0.4), 0.0), (json!("51"), 51.0), (json!(50.5), 51.0)]
    {
        let body = json!({"actorId": "Nova", "direction": "N", "steps": sent});
        let answer = client.act("/v1/commands/move", body).await;
        let details = answer.error(400, "ERR_OUT_OF_BOUNDS");
        assert_eq!((&details["field"], details["value"].as_f64()), (&json!("steps"), Some(meant)), "{sent}");
    }
}

#[tokio::test]
async fn order_enter_and_leave_fields_are_validated() {
    let (_server, client) = cafe().await;
    let cases: Vec<Case> = vec![
        (json!({}), "ERR_MISSING_FIELD", json!({"field": "itemId"})),
        (json!({"itemId": ""}), "ERR_MISSING_FIELD", json!({"field": "itemId"})),
        (json!({"itemId": 5, "size": 5}), "ERR_MISSING_FIELD", json!({"field": "itemId"})),
        (json!({"itemId": "tea", "size": 5}), "ERR_VALIDATION", json!({"field": "size"})),
        (json!({"itemId": "tea", "causationId": []}), "ERR_VALIDATION", json!({"field": "causationId"})),
    ];
    check(&client, "/v1/commands/order", &cases).await;
    let cases: Vec<Case> = vec![
        (json!({"payload": []}), "ERR_VALIDATION", json!({"field": "payload"})),
        (json!({"payload": "x"}), "ERR_VALIDATION", json!({"field": "payload"})),
        (json!({"causationId": true}), "ERR_VALIDATION", json!({"field": "causationId"})),
    ];
    for path in ["/v1/commands/enter", "/v1/commands/leave"] {
        check(&client, path, &cases).await;
    }
}

/// The target's fields may be in `payload` or beside it.
#[tokio::test]
async fn intent_fields_are_validated() {
    let (_server, client) = cafe().await;
    let bounds = json!({"minX": 0, "maxX": 19, "minY": 0, "maxY": 11});
    let away = |x: Value, y: Value| json!({"field": "x,y", "bounds": bounds, "x": x, "y": y});
    let tables: Vec<String> = (1..=8).map(|number| format!("table_{number}")).collect();
    let cases: Vec<Case> = vec![
        (json!({}), "ERR_MISSING_FIELD", json!({"field": "intent"})),
        (json!({"intent": 5}), "ERR_MISSING_FIELD", json!({"field": "intent"})),
        (json!({"intent": "navigate_to", "payload": []}), "ERR_VALIDATION", json!({"field": "payload"})),
        (json!({"intent": "navigate_to"}), "ERR_OUT_OF_BOUNDS", json!({"field": "x,y", "bounds": bounds})),
        (json!({"intent": "navigate_to", "x": 1}), "ERR_OUT_OF_BOUNDS", json!({"field": "x,y"})),
        (json!({"intent": "navigate_to", "x": "a", "y": 1}), "ERR_OUT_OF_BOUNDS", json!({"field": "x,y"})),
        (
            json!({"intent": "navigate_to", "x": 20, "y": 0}),
            "ERR_OUT_OF_BOUNDS",
            away(json!(20.0), json!(0.0)),
        ),
        (
            json!({"intent": "navigate_to", "payload": {"x": 0, "y": 11.5}}),
            "ERR_OUT_OF_BOUNDS",
            away(json!(0.0), json!(12.0)),
        ),
        (
            json!({"intent": "navigate_to", "x": -0.6, "y": 0}),
            "ERR_OUT_OF_BOUNDS",
            away(json!(-1.0), json!(0.0)),
        ),
        (
            json!({"intent": "navigate_to", "payload": {}, "x": 1, "y": 1}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "x,y"}),
        ),
        (json!({"intent": "sit_at_table"}), "ERR_MISSING_FIELD", json!({"field": "tableId"})),
        (json!({"intent": "sit_at_table", "tableId": 1}), "ERR_MISSING_FIELD", json!({"field": "tableId"})),
        (
            json!({"intent": "sit_at_table", "tableId": "table_9"}),
            "ERR_UNKNOWN_TABLE",
            json!({"field": "tableId", "tableId": "table_9", "allowed": tables}),
        ),
        (
            json!({"intent": "sit_at_table", "tableId": " table_1"}),
            "ERR_UNKNOWN_TABLE",
            json!({"tableId": " table_1"}),
        ),
        (
            json!({"intent": "sit_at_table", "tableId": "constructor"}),
            "ERR_UNKNOWN_TABLE",
            json!({"tableId": "constructor"}),
        ),
    ];
    check(&client, "/v1/intents/execute", &cases).await;
    let unknown = client.act("/v1/intents/execute", json!({"actorId": "Nova", "intent": "dance"})).await;
    assert_eq!(unknown.error(404, "ERR_UNSUPPORTED_ACTION")["intent"], "dance");
}

#[tokio::test]
async fn ack_fields_are_validated() {
    let (_server, client) = cafe().await;
    let neither = json!({"fields": ["ids", "upToCursor"]});
    let cases: Vec<Case> = vec![
        (json!({}), "ERR_VALIDATION", neither.clone()),
        (json!({"ids": [], "upToCursor": null}), "ERR_VALIDATION", neither.clone()),
        (json!({"upToCursor": ""}), "ERR_VALIDATION", neither),
        (json!({"ids": ["nope"]}), "ERR_VALIDATION", json!({"field": "ids", "value": "nope"})),
        (json!({"ids": [5]}), "ERR_VALIDATION", json!({"field": "ids"})),
        (json!({"upToCursor": "far"}), "ERR_VALIDATION", json!({"field": "upToCursor", "value": "far"})),
        (json!({"upToCursor": 1.5}), "ERR_VALIDATION", json!({"field": "upToCursor", "value": 1.5})),
        (json!({"upToCursor": 1, "ackedBy": 5}), "ERR_VALIDATION", json!({"field": "ackedBy"})),
    ];
    check(&client, "/v1/inbox/ack", &cases).await;
    let cases: Vec<Case> = vec![(json!({}), "ERR_VALIDATION", json!({"field": "inboxId", "value": "nope"}))];
    check(&client, "/v1/inbox/nope/ack", &cases).await;
    let cases: Vec<Case> = vec![(json!({"ackedBy": 5}), "ERR_VALIDATION", json!({"field": "ackedBy"}))];
    check(&client, "/v1/inbox/0190b5a0-0000-7000-8000-000000000000/ack", &cases).await;
}

#[tokio::test]
async fn heartbeat_fields_are_validated() {
    let (_server, client) = cafe().await;
    let allowed = json!({"field": "status", "allowed": ["thinking", "idle", "busy", "inactive"]});
    let cases: Vec<Case> = vec![
        (json!({"status": "asleep"}), "ERR_INVALID_ENUM", allowed),
        (json!({"ttlMs": "soon"}), "ERR_OUT_OF_BOUNDS", json!({"field": "ttlMs"})),
        (json!({"ttlMs": {}}), "ERR_OUT_OF_BOUNDS", json!({"field": "ttlMs"})),
        (json!({"ttlMs": true}), "ERR_OUT_OF_BOUNDS", json!({"field": "ttlMs"})),
    ];
    check(&client, "/v1/presence/heartbeat", &cases).await;
}

/// A status of another type than string is `ERR_VALIDATION`; an unknown one is `ERR_INVALID_ENUM`.
#[tokio::test]
async fn heartbeat_status_must_be_a_string_before_a_known_one() {
    let (_server, client) = cafe().await;
    let wrong = [json!(5), json!(true), json!([]), json!({})];
    let cases: Vec<Case> = wrong
        .into_iter()
        .map(|status| (json!({"status": status}), "ERR_VALIDATION", json!({"field": "status"})))
        .collect();
    check(&client, "/v1/presence/heartbeat", &cases).await;
}

#[tokio::test]
async fn snapshot_fields_are_validated() {
    let (_server, client) = cafe().await;
    let ttl = |value: Value| json!({"field": "ttlSeconds", "min": 1, "max": 31_536_000, "value": value});
    let large = json!({"field": "state", "max": 262_144, "value": 262_145});
    let cases: Vec<Case> = vec![
        (json!({"state": []}), "ERR_VALIDATION", json!({"field": "state"})),
        (json!({"state": "x"}), "ERR_VALIDATION", json!({"field": "state"})),
        (json!({"state": {"a": "x".repeat(262_145 - 8)}}), "ERR_OUT_OF_BOUNDS", large),
        (json!({"ttlSeconds": "soon"}), "ERR_OUT_OF_BOUNDS", ttl(json!("soon"))),
        (json!({"ttlSeconds": true}), "ERR_OUT_OF_BOUNDS", ttl(json!(true))),
        (json!({"ttlSeconds": 1.5}), "ERR_OUT_OF_BOUNDS", ttl(json!(1.5))),
        (json!({"ttlSeconds": 0}), "ERR_OUT_OF_BOUNDS", ttl(json!(0.0))),
        (json!({"ttlSeconds": -1}), "ERR_OUT_OF_BOUNDS", ttl(json!(-1.0))),
        (json!({"ttlSeconds": 31_536_001}), "ERR_OUT_OF_BOUNDS", ttl(json!(31_536_001.0))),
        (json!({"state": [], "ttlSeconds": 0}), "ERR_VALIDATION", json!({"field": "state"})),
    ];
    for path in ["/v1/snapshots/room", "/v1/snapshots/agent"] {
        check(&client, path, &cases).await;
    }
}
