//! Presence: heartbeats, lists, and expiry.

use std::time::Duration;

use agentcafe_testkit::{Client, Value, eventually, json};

use crate::{cafe, launch, log};

async fn beat(client: &Client, body: Value) -> Value {
    let answer = client.act("/v1/presence/heartbeat", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.data().clone()
}

/// `status_changed` follows, caused by the heartbeat, if the status differs; the response lists both.
#[tokio::test]
async fn heartbeat_appends_an_event_and_a_status_change() {
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
    assert_eq!(types(&first), ["presence_heartbeat"], "the first heartbeat is no change");
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

#[tokio::test]
async fn heartbeat_with_blank_status_is_idle() {
    let (_server, client) = cafe().await;
    for status in [json!(null), json!(""), json!("  ")] {
        let answer = client.act("/v1/presence/heartbeat", json!({"actorId": "Nova", "status": status})).await;
        assert_eq!(answer.status, 202, "{status}: {}", answer.text);
        assert_eq!(answer.data()["presence"]["status"], "idle");
    }
}

#[tokio::test]
async fn heartbeat_with_status_inactive_ends_presence() {
    let (_server, client) = cafe().await;
    beat(&client, json!({"actorId": "Nova", "status": "busy"})).await;
    let data = beat(&client, json!({"actorId": "Nova", "status": "inactive"})).await;
    assert_eq!(
        (&data["presence"]["status"], &data["presence"]["isActive"]),
        (&json!("inactive"), &json!(false))
    );
    assert_eq!(client.get("/v1/presence?roomId=main&active=true").await.data()["count"], 0);
}

/// `ttlMs` is 1,000 to 600,000; the event has the stored value.
#[tokio::test]
async fn heartbeat_ttl_is_clamped() {
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

/// By tenant, room, actor and activity. With one actor: its presence, or none.
#[tokio::test]
async fn presence_is_listed_newest_first_with_filters() {
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

/// Each row comes once.
#[tokio::test]
async fn presence_list_continues_after_next_cursor() {
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

/// The expiry is one event, with a correlation id of its own.
#[tokio::test]
async fn presence_expires_once_and_returns_with_a_heartbeat() {
    let server = launch().env("PRESENCE_SWEEP_MS", 500).start().await;
    let client = server.client();
    for actor in ["Nova", "Kai"] {
        beat(&client, json!({"actorId": actor, "status": "busy", "ttlMs": 1_000})).await;
    }
    beat(&client, json!({"actorId": "Stays"})).await;
    beat(&client, json!({"actorId": "Gone", "status": "inactive", "ttlMs": 1_000})).await;
    let expired = eventually("both presences expire", Duration::from_secs(60), async || {
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
        "each presence expires once"
    );
}
