//! Presence: heartbeats, who is listed, and running out of time.

use std::time::Duration;

use agentcafe_testkit::{Client, Value, eventually, json};

use crate::{cafe, launch, log};

async fn beat(client: &Client, body: Value) -> Value {
    let answer = client.act("/v1/presence/heartbeat", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.data().clone()
}

/// CONTRACT 9.11 and 4.4: a heartbeat is told, a change of status after it, caused by it; the answer lists both.
#[tokio::test]
async fn a_heartbeat_is_told_and_so_is_a_change() {
    let (_server, client) = cafe().await;
    let first = beat(&client, json!({"actorId": "Nova"})).await;
    let presence = &first["presence"];
    assert_eq!(
        (&presence["status"], &presence["ttlMs"], &presence["isActive"]),
        (&json!("idle"), &json!(60_000), &json!(true))
    );
    assert_eq!(
        (&presence["tenantId"], &presence["roomId"], &presence["actorId"]),
        (&json!("default"), &json!("main"), &json!("Nova"))
    );
    assert_eq!(presence["createdAt"], presence["updatedAt"]);
    let second = beat(&client, json!({"actorId": "Nova", "status": " THINKING ", "ttlMs": 2_000})).await;
    assert_eq!(second["presence"]["createdAt"], presence["createdAt"]);
    let third = beat(&client, json!({"actorId": "Nova", "status": "thinking"})).await;
    let types = |data: &Value| -> Vec<String> {
        let emitted = data["emittedEvents"].as_array().into_iter().flatten();
        emitted.map(|event| event["eventType"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(types(&first), ["presence_heartbeat"], "the first is no change");
    assert_eq!(types(&second), ["presence_heartbeat", "status_changed"]);
    assert_eq!(types(&third), ["presence_heartbeat"]);
    let events = log(&client).await;
    assert_eq!(
        events[1]["payload"],
        json!({"status": "thinking", "ttlMs": 2_000,
        "lastHeartbeatAt": second["presence"]["lastHeartbeatAt"], "expiresAt": second["presence"]["expiresAt"]})
    );
    assert!(events[1]["causationId"].is_null());
    let change = &events[2];
    assert_eq!(change["causationId"], events[1]["eventId"]);
    assert_eq!(change["correlationId"], second["correlationId"]);
    let payload = &change["payload"];
    assert_eq!((&payload["fromStatus"], &payload["toStatus"]), (&json!("idle"), &json!("thinking")));
    assert_eq!((&payload["reason"], &payload["source"]), (&json!("heartbeat_update"), &json!("agent")));
    assert_eq!(
        (&payload["lastHeartbeatAt"], &payload["expiresAt"]),
        (&second["presence"]["lastHeartbeatAt"], &json!(null))
    );
}

/// CONTRACT 9.11: a blank status counts as missing, which is `idle`.
#[tokio::test]
async fn a_blank_status_is_idle() {
    let (_server, client) = cafe().await;
    for status in [json!(null), json!(""), json!("  ")] {
        let answer = client.act("/v1/presence/heartbeat", json!({"actorId": "Nova", "status": status})).await;
        assert_eq!(answer.status, 202, "{status}: {}", answer.text);
        assert_eq!(answer.data()["presence"]["status"], "idle");
    }
}

/// RULINGS G2: an inactive heartbeat is a goodbye: the actor no longer counts as there.
#[tokio::test]
async fn an_inactive_heartbeat_is_a_goodbye() {
    let (_server, client) = cafe().await;
    beat(&client, json!({"actorId": "Nova", "status": "busy"})).await;
    let data = beat(&client, json!({"actorId": "Nova", "status": "inactive"})).await;
    assert_eq!(
        (&data["presence"]["status"], &data["presence"]["isActive"]),
        (&json!("inactive"), &json!(false))
    );
    assert_eq!(client.get("/v1/presence?roomId=main&active=true").await.data()["count"], 0);
}

/// RULINGS G3 and E9: `ttlMs` is held within 1000 to 600000, and the event carries what is stored.
#[tokio::test]
async fn a_time_to_live_is_held_within_bounds() {
    let server = launch().env("PRESENCE_DEFAULT_TTL_MS", 5_000).start().await;
    let client = server.client();
    let cases = [
        (json!(null), 5_000),
        (json!(""), 5_000),
        (json!("2000"), 2_000),
        (json!(1), 1_000),
        (json!(0), 1_000),
        (json!(-5), 1_000),
        (json!(1e300), 600_000),
        (json!(600_000), 600_000),
    ];
    for (sent, want) in cases {
        let data = beat(&client, json!({"actorId": "Nova", "ttlMs": sent})).await;
        assert_eq!(data["presence"]["ttlMs"], want, "{sent}");
        let event = log(&client).await.pop().unwrap();
        assert_eq!(event["payload"]["ttlMs"], want, "{sent}");
        assert_eq!(event["payload"]["expiresAt"], data["presence"]["expiresAt"]);
    }
    let entered = client.act("/v1/commands/enter", json!({"actorId": "Kai"})).await;
    assert_eq!(entered.data()["presence"]["ttlMs"], 5_000);
}

/// CONTRACT 9.10: one presence or none; or a list, newest first, by tenant, room, actor and activity.
#[tokio::test]
async fn presences_are_listed_newest_first() {
    let (_server, client) = cafe().await;
    for (actor, room, tenant) in
        [("A", "main", "default"), ("B", "main", "default"), ("A", "attic", "default"), ("A", "main", "acme")]
    {
        beat(&client, json!({"actorId": actor, "roomId": room, "tenantId": tenant})).await;
    }
    beat(&client, json!({"actorId": "A", "status": "inactive"})).await;
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("", &[("A", "main"), ("A", "attic"), ("B", "main")]),
        ("?roomId=main", &[("A", "main"), ("B", "main")]),
        ("?actorId=A", &[("A", "main"), ("A", "attic")]),
        ("?active=yes", &[("A", "attic"), ("B", "main")]),
        ("?active=0", &[("A", "main")]),
        ("?tenantId=acme", &[("A", "main")]),
        ("?roomId=nowhere", &[]),
    ];
    for (query, want) in cases {
        let answer = client.get(&format!("/v1/presence{query}")).await;
        let rows = answer.data()["presence"].as_array().unwrap().iter();
        let got: Vec<_> =
            rows.map(|row| (row["actorId"].as_str().unwrap(), row["roomId"].as_str().unwrap())).collect();
        assert_eq!(got, want, "{query}");
        assert_eq!(answer.data()["count"], want.len());
    }
    assert_eq!(client.get("/v1/presence?roomId=main&actorId=B").await.data()["presence"]["actorId"], "B");
    assert_eq!(client.get("/v1/presence?roomId=main&actorId=C").await.data(), &json!({"presence": null}));
}

/// RULINGS J5: a list goes on behind its `nextCursor`, each row once, until there is none.
#[tokio::test]
async fn a_list_goes_on_behind_its_cursor() {
    let (_server, client) = cafe().await;
    let many = (0..7).map(|n| beat(&client, json!({"actorId": format!("a{n}")})));
    for one in many {
        one.await;
    }
    let whole = client.get("/v1/presence?roomId=main").await.data()["presence"].clone();
    let (mut pages, mut rows, mut path) = (0, Vec::new(), "/v1/presence?roomId=main&limit=3".to_owned());
    loop {
        let answer = client.get(&path).await;
        pages += 1;
        assert!(pages < 10, "the list does not end");
        rows.extend(answer.data()["presence"].as_array().unwrap().clone());
        match answer.data()["nextCursor"].as_str() {
            Some(cursor) => path = format!("/v1/presence?roomId=main&limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(json!(rows), whole);
    let _ = client.get("/v1/presence?cursor=nonsense").await.error(400, "ERR_VALIDATION");
    let _ = client.get("/v1/presence?limit=1.5").await.error(400, "ERR_VALIDATION");
    assert_eq!(client.get("/v1/presence?limit=-3").await.data()["count"], 1, "limits are clamped");
}

/// CONTRACT 4.4 and 15: who lets its time run out is told to be gone, once, under an own correlation id; a heartbeat
/// brings it back.
#[tokio::test]
async fn presences_run_out() {
    let server = launch().env("PRESENCE_SWEEP_MS", 500).start().await;
    let client = server.client();
    for actor in ["Nova", "Kai"] {
        beat(&client, json!({"actorId": actor, "status": "busy", "ttlMs": 1_000})).await;
    }
    beat(&client, json!({"actorId": "Stays"})).await;
    beat(&client, json!({"actorId": "Gone", "status": "inactive", "ttlMs": 1_000})).await;
    let expired = eventually("both presences run out", Duration::from_secs(60), async || {
        let page = client.get("/v1/events?types=status_changed").await;
        let events = page.data()["events"].as_array()?.clone();
        (events.len() >= 2).then_some(events)
    });
    let expired = expired.await;
    assert_eq!(expired.len(), 2);
    assert_ne!(expired[0]["correlationId"], expired[1]["correlationId"]);
    for event in &expired {
        assert!(event["causationId"].is_null() && event["correlationId"].is_string(), "{event}");
        let payload = &event["payload"];
        assert_eq!((&payload["fromStatus"], &payload["toStatus"]), (&json!("busy"), &json!("inactive")));
        assert_eq!(
            (&payload["reason"], &payload["source"]),
            (&json!("heartbeat_ttl_expired"), &json!("system"))
        );
        let actor = event["actorId"].as_str().unwrap();
        let stored = client.get(&format!("/v1/presence?roomId=main&actorId={actor}")).await;
        let stored = &stored.data()["presence"];
        assert_eq!((&stored["status"], &stored["isActive"]), (&json!("inactive"), &json!(false)));
        assert_eq!(payload["expiresAt"], stored["expiresAt"]);
        assert!(payload["changedAt"].as_str() >= payload["expiresAt"].as_str(), "{payload}");
    }
    assert_eq!(client.get("/v1/presence?active=true").await.data()["presence"][0]["actorId"], "Stays");
    let back = beat(&client, json!({"actorId": "Nova", "status": "busy"})).await;
    assert_eq!(back["emittedEvents"][1]["eventType"], "status_changed", "coming back is a change");
    assert_eq!(
        client.get("/v1/events?types=status_changed").await.data()["count"],
        3,
        "nobody expires twice"
    );
}
