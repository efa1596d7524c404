//! Last seen: the newest thing that each actor did by itself.

use std::time::Duration;

use agentcafe_testkit::{Client, Value, eventually, json};

use crate::{cafe, launch, log};

async fn order(client: &Client, actor: &str, room: &str) {
    let body = json!({"actorId": actor, "roomId": room, "itemId": "tea"});
    let _ = client.act("/v1/commands/order", body).await.data();
}

async fn actors(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/v1/presence/last-seen{query}")).await;
    let rows = answer.data()["actors"].as_array().cloned().unwrap_or_default();
    assert_eq!(answer.data()["count"], rows.len());
    rows.iter().map(|row| row["actorId"].as_str().unwrap_or_default().to_owned()).collect()
}

/// CONTRACT 9.10: the newest event of each actor, newest first; `system` only when asked for.
#[tokio::test]
async fn actors_are_listed_by_their_newest_event() {
    let (_server, client) = cafe().await;
    for (actor, room) in
        [("Nova", "main"), ("system", "main"), ("Kai", "main"), ("Nova", "attic"), ("Bo", "main")]
    {
        order(&client, actor, room).await;
    }
    assert_eq!(actors(&client, "").await, ["Bo", "Nova", "Kai"]);
    assert_eq!(actors(&client, "?includeSystemActors=true").await, ["Bo", "Nova", "Kai", "system"]);
    assert_eq!(actors(&client, "?roomId=main").await, ["Bo", "Kai", "Nova"]);
    assert_eq!(actors(&client, "?roomId=main&limit=2").await, ["Bo", "Kai"]);
    assert_eq!(actors(&client, "?tenantId=acme").await, [""; 0]);
    let _ = client.get("/v1/presence/last-seen?scanLimit=x").await.error(400, "ERR_VALIDATION");
}

/// CONTRACT 9.10: what a row says; presence is joined when a room is given; one actor, known or not.
#[tokio::test]
async fn a_row_says_what_was_seen_and_how_the_actor_is() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    let newest = log(&client).await.pop().unwrap();
    let row = json!({"actorId": "Nova", "lastSeen": newest["timestamp"], "lastEventId": newest["eventId"],
        "lastEventType": newest["type"], "lastSequence": newest["sequence"], "status": null, "isActive": null,
        "lastHeartbeatAt": null});
    let everywhere = client.get("/v1/presence/last-seen").await;
    let want = json!({"tenantId": "default", "roomId": null, "actors": [row], "count": 1, "scanLimitReached": false});
    assert_eq!(everywhere.data(), &want);
    let mut joined = row;
    joined["status"] = json!("busy");
    joined["isActive"] = json!(true);
    joined["lastHeartbeatAt"] = newest["payload"]["lastHeartbeatAt"].clone();
    let one = client.get("/v1/presence/last-seen?roomId=main&actorId=Nova").await;
    assert_eq!(one.data(), &json!({"actorId": "Nova", "lastSeen": joined}));
    let none = client.get("/v1/presence/last-seen?actorId=Nobody").await;
    assert_eq!(none.data(), &json!({"actorId": "Nobody", "lastSeen": null}));
}

/// CONTRACT 9.10: only the newest `scanLimit` events are looked at, and the answer says when that was all.
#[tokio::test]
async fn the_scan_is_bounded_and_says_so() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    for _ in 0..3 {
        order(&client, "Kai", "main").await;
    }
    let answer = client.get("/v1/presence/last-seen?limit=1&scanLimit=2").await;
    assert_eq!((&answer.data()["count"], &answer.data()["scanLimitReached"]), (&json!(1), &json!(true)));
    assert_eq!(actors(&client, "?limit=2&scanLimit=2").await, ["Kai"]);
    assert_eq!(actors(&client, "?limit=2").await, ["Kai", "Nova"]);
}

/// RULINGS G6: being declared gone is not being seen.
#[tokio::test]
async fn running_out_of_time_is_not_being_seen() {
    let server = launch().env("PRESENCE_SWEEP_MS", 500).start().await;
    let client = server.client();
    let _ = client.act("/v1/presence/heartbeat", json!({"actorId": "Nova", "ttlMs": 1_000})).await.data();
    let seen = async || -> Value {
        client.get("/v1/presence/last-seen?roomId=main&actorId=Nova").await.data()["lastSeen"].clone()
    };
    let before = seen().await;
    eventually("the presence runs out", Duration::from_secs(60), async || {
        let page = client.get("/v1/events?types=status_changed").await;
        (page.data()["count"] == 1).then_some(())
    })
    .await;
    let after = seen().await;
    for name in ["lastSeen", "lastEventId", "lastEventType", "lastSequence"] {
        assert_eq!(after[name], before[name]);
    }
    assert_eq!((&after["status"], &after["isActive"]), (&json!("inactive"), &json!(false)));
}
