//! Snapshots: stored JSON by version, across restarts.

use agentcafe_testkit::{Client, Method, Value, fresh_key, json};

use crate::{cafe, log};

async fn save(client: &Client, scope: &str, body: Value) -> Value {
    let answer = client.act(&format!("/v1/snapshots/{scope}"), body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data().clone()
}

/// Times are RFC 3339.
#[tokio::test]
async fn snapshot_create_returns_appends_and_traces() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "roomId": "attic", "state": {"mood": [1, {"a": null}]}, "correlationId": "c"});
    let saved = save(&client, "agent", body).await;
    assert_eq!(saved["correlationId"], "c");
    let snapshot = &saved["snapshot"];
    let (created_at, expires_at) = (&snapshot["createdAt"], &snapshot["expiresAt"]);
    let want = json!({"scope": "agent", "tenantId": "default", "roomId": "attic", "actorId": "Nova", "version": 1,
        "state": {"mood": [1, {"a": null}]}, "createdAt": created_at, "expiresAt": expires_at});
    assert_eq!(snapshot, &want);
    for at in [created_at, expires_at] {
        assert!(at.as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{at}");
    }
    let events = log(&client).await;
    assert_eq!((events.len(), &events[0]["type"]), (1, &json!("snapshot_created")));
    assert_eq!((&events[0]["actorId"], &events[0]["correlationId"]), (&json!("Nova"), &json!("c")));
    let reference = json!({"roomId": "attic", "actorId": "Nova"});
    let payload = json!({"scope": "agent", "version": 1, "expiresAt": expires_at, "snapshotRef": reference});
    assert_eq!(events[0]["payload"], payload);
    let trace = client.get("/v1/traces/c").await.data()["trace"].clone();
    let mut steps = trace["steps"].as_array().unwrap().iter();
    let step = steps.find(|step| step["code"] == "RC_SNAPSHOT_CREATED").unwrap();
    assert_eq!(step["details"], json!({"scope": "agent", "version": 1}));
    let found = client.get("/v1/snapshots/agent?roomId=attic&actorId=Nova").await;
    assert_eq!(found.data(), &json!({"snapshot": want}));
}

/// A room's snapshot belongs to no actor.
#[tokio::test]
async fn snapshot_of_a_room_has_author_system_by_default() {
    let (_server, client) = cafe().await;
    let first = save(&client, "room", json!({})).await;
    assert_eq!(
        (&first["snapshot"]["actorId"], &first["snapshot"]["state"], &first["snapshot"]["version"]),
        (&json!(null), &json!({}), &json!(1))
    );
    let body = json!({"actorId": "Nova", "state": {"a": 1}, "ttlSeconds": null});
    let second = save(&client, "room", body).await;
    assert_eq!((&second["snapshot"]["actorId"], &second["snapshot"]["version"]), (&json!(null), &json!(2)));
    assert_eq!(second["snapshot"]["expiresAt"], json!(null));
    let events = log(&client).await;
    let actors =
        |event: &Value| (event["actorId"].clone(), event["payload"]["snapshotRef"]["actorId"].clone());
    assert_eq!(actors(&events[0]), (json!("system"), json!(null)));
    assert_eq!(actors(&events[1]), (json!("Nova"), json!(null)));
}

/// Of the tenant, room and actor that are named, also after a kill.
#[tokio::test]
async fn snapshot_is_read_by_version_or_newest() {
    let (mut server, client) = cafe().await;
    for (number, tenant) in [(1, "default"), (2, "default"), (3, "acme")] {
        let body = json!({"tenantId": tenant, "actorId": "Nova", "state": {"n": number}});
        let _ = save(&client, "agent", body.clone()).await;
        let _ = save(&client, "room", body).await;
    }
    server.restart().await;
    let client = server.client().lenient();
    let cases = [
        ("agent?actorId=Nova", Some(2)),
        ("agent?actorId=Nova&version=1", Some(1)),
        ("agent?actorId=Nova&version=2", Some(2)),
        ("agent?actorId=Nova&version=3", None),
        ("agent?actorId=Nova&version=0", None),
        ("agent?actorId=Kai", None),
        ("agent?actorId=Nova&roomId=attic", None),
        ("agent?actorId=Nova&tenantId=acme", Some(3)),
        ("room?actorId=Kai", Some(2)),
        ("room?tenantId=acme&version=1", Some(3)),
        ("room?tenantId=rival", None),
    ];
    for (query, want) in cases {
        let answer = client.get(&format!("/v1/snapshots/{query}")).await;
        match want {
            Some(number) => assert_eq!(answer.data()["snapshot"]["state"]["n"], number, "{query}"),
            None => assert!(answer.error(404, "ERR_NOT_FOUND")["tenantId"].is_string(), "{query}"),
        }
    }
    let details = client.get("/v1/snapshots/agent?actorId=Kai&version=9").await;
    let want = json!({"tenantId": "default", "roomId": "main", "actorId": "Kai", "version": 9});
    assert_eq!(details.error(404, "ERR_NOT_FOUND"), &want);
    let details = client.get("/v1/snapshots/room?roomId=attic").await;
    let want = json!({"tenantId": "default", "roomId": "attic", "actorId": null});
    assert_eq!(details.error(404, "ERR_NOT_FOUND"), &want);
    let missing = client.get("/v1/snapshots/agent").await;
    assert_eq!(missing.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    let invalid = client.get("/v1/snapshots/room?version=abc").await;
    assert_eq!(invalid.error(400, "ERR_VALIDATION"), &json!({"field": "version", "value": "abc"}));
}

/// The scope of the key is the room's or the actor's.
#[tokio::test]
async fn snapshot_is_created_once_per_key() {
    let (_server, client) = cafe().await;
    let body = json!({"actorId": "Nova", "state": {"n": 1}});
    let first = client.post("/v1/snapshots/agent", "k", body.clone()).await;
    let again = client.post("/v1/snapshots/agent", "k", body.clone()).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("x-idempotent-replay"), Some("true"));
    assert_eq!(log(&client).await.len(), 1);
    let other = client.post("/v1/snapshots/agent", "k", json!({"actorId": "Nova"})).await;
    let scope = &other.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"];
    assert_eq!(scope, "main:agent:Nova:/v1/snapshots/agent");
    let _ = client.post("/v1/snapshots/room", "k", body.clone()).await.data();
    let other = client.post("/v1/snapshots/room", "k", json!({})).await;
    let scope = &other.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT")["scope"];
    assert_eq!(scope, "main:room:-:/v1/snapshots/room");
    let without = client.request(Method::POST, "/v1/snapshots/room").json(&body).send().await;
    let _ = without.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_versions_are_consecutive_under_concurrency() {
    const SAVES: u64 = 40;
    let (_server, client) = cafe().await;
    let saves = (0..SAVES).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            let body = json!({"actorId": "Nova", "state": {"n": number}});
            let answer = client.post("/v1/snapshots/agent", &fresh_key(), body).await;
            answer.data()["snapshot"]["version"].as_u64().unwrap()
        })
    });
    let mut versions = Vec::new();
    for save in saves.collect::<Vec<_>>() {
        versions.push(save.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=SAVES).collect::<Vec<_>>());
}
