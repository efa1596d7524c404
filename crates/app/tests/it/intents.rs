//! Intents: planning a path, its events, and the position that moves, arrivals and intents share.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, log};

async fn intend(client: &Client, body: Value) -> Value {
    let mut body = body;
    body["actorId"] = json!("Nova");
    let answer = client.act("/v1/intents/execute", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.data().clone()
}

async fn go(client: &Client, x: i64, y: i64) -> Value {
    intend(client, json!({"intent": "navigate_to", "x": x, "y": y})).await
}

/// Nova's position: the start of its next path.
async fn position(client: &Client) -> (i64, i64) {
    let from = go(client, 10, 6).await["from"].clone();
    (from["x"].as_i64().unwrap_or(-1), from["y"].as_i64().unwrap_or(-1))
}

/// One move per leg, horizontal first. The plan causes the moves, the completion causes the presence.
#[tokio::test]
async fn intent_appends_planned_moves_completed_and_presence() {
    let (_server, client) = cafe().await;
    let data = intend(&client, json!({"intent": "sit_at_table", "tableId": "table_1"})).await;
    let (from, target) = (json!({"x": 10, "y": 6}), json!({"x": 2, "y": 2}));
    let path = json!([{"direction": "W", "steps": 8}, {"direction": "N", "steps": 4}]);
    let events = log(&client).await;
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        types,
        ["intent_planned", "actor_moved", "actor_moved", "intent_completed", "presence_heartbeat"]
    );
    let causes: Vec<&Value> = events.iter().map(|event| &event["causationId"]).collect();
    let (plan, completed) = (&events[0]["eventId"], &events[3]["eventId"]);
    assert_eq!(causes, [&json!(null), plan, plan, plan, completed]);
    let payloads: Vec<&Value> = events.iter().map(|event| &event["payload"]).collect();
    let planned =
        json!({"intent": "sit_at_table", "target": target, "label": "table_1", "from": from, "path": path});
    assert_eq!(payloads[0], &planned);
    for (leg, payload) in path.as_array().unwrap().iter().zip(&payloads[1..3]) {
        let moved = json!({"direction": leg["direction"], "steps": leg["steps"], "intent": "sit_at_table", "targetLabel": "table_1"});
        assert_eq!(*payload, &moved);
    }
    let done = json!({"intent": "sit_at_table", "target": target, "label": "table_1", "finalPosition": target, "outcome": "seated"});
    assert_eq!(payloads[3], &done);
    let mut want = json!({"accepted": true, "intent": "sit_at_table", "label": "table_1", "from": from, "target": target,
        "path": path, "finalEventId": completed, "finalSequence": events[3]["sequence"]});
    want["eventIds"] = events.iter().map(|event| event["eventId"].clone()).collect();
    want["correlationId"] = events[0]["correlationId"].clone();
    want["presence"] = data["presence"].clone();
    assert_eq!(data, want);
    assert_eq!((&data["presence"]["status"], &data["presence"]["isActive"]), (&json!("busy"), &json!(true)));
}

/// The presence is an event only if the status changes.
#[tokio::test]
async fn intent_sets_presence_busy_with_reason_intent_activity() {
    let (_server, client) = cafe().await;
    let _ = client.act("/v1/commands/enter", json!({"actorId": "Nova"})).await.data();
    for changes in [1, 0] {
        let before = log(&client).await.len();
        go(&client, 3, 3).await;
        let events = log(&client).await.split_off(before);
        let changed: Vec<_> = events.iter().filter(|event| event["type"] == "status_changed").collect();
        assert_eq!(changed.len(), changes);
        for change in changed {
            let payload = &change["payload"];
            assert_eq!(
                (&payload["reason"], &payload["source"]),
                (&json!("intent_activity"), &json!("agent"))
            );
            assert_eq!((&payload["fromStatus"], &payload["toStatus"]), (&json!("idle"), &json!("busy")));
        }
    }
}

/// A point is rounded; a target at the actor's position needs no move.
#[tokio::test]
async fn intent_targets_are_tables_or_points() {
    let (_server, client) = cafe().await;
    let tables = [(2, 2), (6, 2), (10, 2), (14, 2), (2, 6), (6, 6), (10, 6), (14, 6)];
    for (number, (x, y)) in (1..).zip(tables) {
        let table = format!("table_{number}");
        let data = intend(&client, json!({"intent": "sit_at_table", "payload": {"tableId": table}})).await;
        assert_eq!((&data["label"], &data["target"]), (&json!(table), &json!({"x": x, "y": y})));
    }
    let stay = intend(&client, json!({"intent": "navigate_to", "payload": {"x": 14, "y": 6}})).await;
    assert_eq!((&stay["path"], &stay["label"]), (&json!([]), &json!("(14, 6)")));
    assert_eq!(stay["eventIds"].as_array().unwrap().len(), 3, "planned, completed, heartbeat");
    let rounded = intend(&client, json!({"intent": "navigate_to", "x": "18.5", "y": -0.4})).await;
    assert_eq!((&rounded["target"], &rounded["label"]), (&json!({"x": 19, "y": 0}), &json!("(19, 0)")));
    let completed = &log(&client).await.pop().unwrap();
    assert_eq!(completed["type"], "presence_heartbeat");
}

/// Moves stay on the grid; 0 is a valid coordinate.
#[tokio::test]
async fn position_is_shared_by_moves_arrivals_and_intents() {
    let (_server, client) = cafe().await;
    let step = async |direction: &str, steps: i64| {
        let body = json!({"actorId": "Nova", "direction": direction, "steps": steps});
        let _ = client.act("/v1/commands/move", body).await.data();
    };
    let enter = async |payload: Value| {
        let _ = client.act("/v1/commands/enter", json!({"actorId": "Nova", "payload": payload})).await.data();
    };
    assert_eq!(position(&client).await, (10, 6), "the start position");
    step("W", 3).await;
    step("N", 2).await;
    assert_eq!(position(&client).await, (7, 4), "after moves");
    step("W", 50).await;
    step("N", 50).await;
    assert_eq!(position(&client).await, (0, 0), "walls stop");
    go(&client, 0, 0).await;
    assert_eq!(position(&client).await, (0, 0), "zero is a coordinate");
    go(&client, 19, 11).await;
    step("E", 1).await;
    step("N", 1).await;
    assert_eq!(position(&client).await, (19, 10), "moves after an intent");
    enter(json!({"position": {"x": 0, "y": 3}})).await;
    assert_eq!(position(&client).await, (0, 3), "the position of the entrance");
    go(&client, 1, 1).await;
    enter(json!({})).await;
    assert_eq!(position(&client).await, (10, 6), "enter without a position uses the spawn");
}

#[tokio::test]
async fn position_is_per_tenant_room_and_actor_and_survives_a_restart() {
    let (mut server, client) = cafe().await;
    go(&client, 1, 1).await;
    for other in [json!({"roomId": "attic"}), json!({"tenantId": "acme"}), json!({"actorId": "Kai"})] {
        let mut body = json!({"actorId": "Nova", "intent": "navigate_to", "x": 5, "y": 5});
        body.as_object_mut().unwrap().extend(other.as_object().cloned().unwrap());
        let answer = client.act("/v1/intents/execute", body).await;
        assert_eq!(answer.data()["from"], json!({"x": 10, "y": 6}), "{other}");
    }
    server.restart().await;
    assert_eq!(position(&server.client()).await, (1, 1));
}
