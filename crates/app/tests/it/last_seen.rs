//! `GET /v1/presence/last-seen`: the newest event of each actor.

use std::time::Duration;

use agentcafe_testkit::{Client, Value, eventually, json};

use crate::{cafe, launch, log, order};

async fn actors(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/v1/presence/last-seen{query}")).await;
    let rows = answer.data()["actors"].as_array().cloned().unwrap_or_default();
    assert_eq!(answer.data()["count"], rows.len());
    rows.iter().map(|row| row["actorId"].as_str().unwrap_or_default().to_owned()).collect()
}

/// `system` is listed only with its filter.
#[tokio::test]
async fn last_seen_lists_actors_by_newest_event() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    // The actor of a room's snapshot is `system` if it names no other.
    let _ = client.act("/v1/snapshots/room", json!({ "roomId": "main", "state": {} })).await.data();
    for (actor, room) in [("Kai", "main"), ("Nova", "attic"), ("Bo", "main")] {
        order(&client, actor, room).await;
    }
    assert_eq!(actors(&client, "").await, ["Bo", "Nova", "Kai"]);
    assert_eq!(actors(&client, "?includeSystemActors=true").await, ["Bo", "Nova", "Kai", "system"]);
    assert_eq!(actors(&client, "?roomId=main").await, ["Bo", "Kai", "Nova"]);
    assert_eq!(actors(&client, "?roomId=main&limit=2").await, ["Bo", "Kai"]);
    assert_eq!(actors(&client, "?tenantId=acme").await, [""; 0]);
    let _ = client.get("/v1/presence/last-seen?scanLimit=x").await.error(400, "ERR_VALIDATION");
}

/// Presence is joined if a room is given; a list for one actor has a row also if the actor is unknown.
#[tokio::test]
async fn last_seen_row_has_event_and_presence() {
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
    assert_eq!(one.data(), &json!({"actorId": "Nova", "lastSeen": joined, "scanLimitReached": false}));
    let none = client.get("/v1/presence/last-seen?actorId=Nobody").await;
    assert_eq!(none.data(), &json!({"actorId": "Nobody", "lastSeen": null, "scanLimitReached": false}));
}

/// The response has a flag if older events were not scanned.
#[tokio::test]
async fn last_seen_scans_at_most_scan_limit_events() {
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

/// The event that marks an actor inactive is not an action of that actor.
#[tokio::test]
async fn last_seen_ignores_presence_expiry() {
    let server = launch().env("PRESENCE_SWEEP_MS", 500).start().await;
    let client = server.client();
    let _ = client.act("/v1/presence/heartbeat", json!({"actorId": "Nova", "ttlMs": 1_000})).await.data();
    let seen = async || -> Value {
        client.get("/v1/presence/last-seen?roomId=main&actorId=Nova").await.data()["lastSeen"].clone()
    };
    let before = seen().await;
    eventually("the presence expires", Duration::from_secs(60), async || {
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
