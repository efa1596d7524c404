//! `GET /v1/memory/local`: the newest memorable events of a room.

use agentcafe_testkit::{Client, Value, json};

use crate::cafe;

async fn act(client: &Client, path: &str, body: Value) {
    let _ = client.act(path, body).await.data();
}

async fn summaries(client: &Client, query: &str) -> Vec<Value> {
    let data = client.get(&format!("/v1/memory/local{query}")).await.data().clone();
    let memory = data["memory"].as_array().expect("a list").clone();
    assert_eq!(data["count"], memory.len());
    memory
}

/// Heartbeats and changes of status are left out. The memory in a replay's snapshot is the same.
#[tokio::test]
async fn local_memory_has_a_summary_per_event_type_newest_first() {
    let (_server, client) = cafe().await;
    assert_eq!(
        client.get("/v1/memory/local").await.data(),
        &json!({"tenantId": "default", "roomId": "main", "actorId": null, "memory": [], "count": 0})
    );
    act(&client, "/v1/commands/enter", json!({"actorId": "Nova"})).await;
    act(&client, "/v1/commands/move", json!({"actorId": "Nova", "direction": "N", "steps": 2})).await;
    let body = json!({"actorId": "Nova", "text": "hey @Kai", "threadId": "t"});
    act(&client, "/v1/commands/say", body).await;
    act(&client, "/v1/commands/order", json!({"actorId": "Kai", "itemId": "tea", "size": "large"})).await;
    let body = json!({"actorId": "Kai", "intent": "navigate_to", "x": 0, "y": 0});
    act(&client, "/v1/intents/execute", body).await;
    act(&client, "/v1/presence/heartbeat", json!({"actorId": "Nova", "status": "idle"})).await;
    act(&client, "/v1/commands/leave", json!({"actorId": "Nova"})).await;
    let memory = summaries(&client, "").await;
    let types: Vec<&str> = memory.iter().filter_map(|entry| entry["type"].as_str()).collect();
    let intent = ["agent_left", "intent_completed", "actor_moved", "actor_moved", "order_changed"];
    assert_eq!(types, intent, "{memory:?}");
    assert_eq!((&memory[1]["intent"], &memory[1]["outcome"]), (&json!("navigate_to"), &json!("arrived")));
    assert_eq!((&memory[4]["itemId"], &memory[4]["size"]), (&json!("tea"), &json!("large")));
    let projection = client.get("/v1/replay").await.data()["snapshot"]["localMemory"].clone();
    assert_eq!(json!(memory), projection);

    let novas = summaries(&client, "?actorId=Nova&limit=3").await;
    assert!(novas.iter().all(|entry| entry["actorId"] == "Nova"));
    let types: Vec<&str> = novas.iter().filter_map(|entry| entry["type"].as_str()).collect();
    assert_eq!(types, ["agent_left", "conversation_message_posted", "actor_moved"]);
    let said = &novas[1];
    assert_eq!(
        (&said["text"], &said["threadId"], &said["mentions"]),
        (&json!("hey @Kai"), &json!("t"), &json!(["Kai"]))
    );
    assert_eq!((&novas[2]["direction"], &novas[2]["steps"]), (&json!("N"), &json!(2)));
    let page = client.get("/v1/events?types=agent_left").await.data()["events"][0].clone();
    let left = json!({"eventId": page["eventId"], "sequence": page["sequence"], "type": "agent_left",
        "actorId": "Nova", "ts": page["timestamp"]});
    assert_eq!(novas[0], left);
}

/// A limit that is not an integer is refused.
#[tokio::test]
async fn local_memory_limit_is_clamped_to_1_to_5() {
    let (_server, client) = cafe().await;
    for number in 0..8 {
        act(&client, "/v1/commands/order", json!({"actorId": "Nova", "itemId": format!("tea {number}")}))
            .await;
    }
    for (query, want) in [("", 5), ("?limit=2", 2), ("?limit=100", 5), ("?limit=0", 1), ("?limit=-4", 1)] {
        let memory = summaries(&client, query).await;
        assert_eq!((memory.len(), &memory[0]["itemId"]), (want, &json!("tea 7")), "{query}");
    }
    for limit in ["abc", "1.5"] {
        let answer = client.get(&format!("/v1/memory/local?limit={limit}")).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION"), &json!({"field": "limit", "value": limit}));
    }
}

/// Many events in another room do not displace a room's memory.
#[tokio::test]
async fn local_memory_is_per_room() {
    let (_server, client) = cafe().await;
    act(&client, "/v1/commands/order", json!({"actorId": "Nova", "itemId": "tea"})).await;
    for room in ["attic", "main"] {
        let body = json!({"actorId": "Nova", "tenantId": "acme", "roomId": room, "itemId": room});
        act(&client, "/v1/commands/order", body).await;
    }
    let items = async |query: &str| -> Vec<String> {
        let memory = summaries(&client, query).await;
        memory.iter().filter_map(|entry| entry["itemId"].as_str()).map(str::to_owned).collect()
    };
    assert_eq!(items("").await, ["tea"]);
    assert_eq!(items("?tenantId=acme").await, ["main"]);
    assert_eq!(items("?tenantId=acme&roomId=attic").await, ["attic"]);
    assert!(items("?roomId=attic").await.is_empty());
}
