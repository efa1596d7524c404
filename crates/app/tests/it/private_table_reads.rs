//! Who may read a private table and replay it: `PRIVATE_TABLE_READ_GATE`, and the feature `replay` of plans.

use agentcafe_testkit::{Client, Launch, Method, Reaction, Receiver, Value, eventually, json};
use tempfile::TempDir;

use crate::stored_tables::{StoredTable, store_tables};
use crate::table_fixtures::{SOON, act, text};
use crate::websocket_client::Socket;
use crate::{cafe, launch};

/// A server with a private table, open for this long, with these features besides chat.
async fn launch_with_table(features: &[&'static str], open_for_ms: i64) -> (TempDir, Launch) {
    let directory = TempDir::new().expect("a directory");
    let features = [&["basic_thread_chat"], features].concat();
    let table = StoredTable { room: "den", features, guests: &["Kai"], open_for_ms, is_paused: false };
    store_tables(directory.path(), vec![table]).await;
    let launch = launch().data_dir(directory.path());
    (directory, launch)
}

/// Reads of the private table.
const TABLE_READS: [&str; 18] = [
    "/v1/events?roomId=den",
    "/v1/timeline?roomId=den",
    "/v1/mentions?roomId=den",
    "/v1/events/poll?timeoutMs=0&roomId=den&tenantId=default",
    "/v1/inbox?roomId=den",
    "/v1/presence?roomId=den",
    "/v1/presence/last-seen?roomId=den",
    "/v1/bootstrap?roomId=den",
    "/v1/memory/local?roomId=den",
    "/v1/collaboration/score?roomId=den",
    "/v1/snapshots/room?roomId=den",
    "/v1/tasks?roomId=den",
    "/v1/search?q=tea&roomId=den",
    "/v1/objects?roomId=den",
    "/v1/rooms/context/pin?roomId=den",
    "/v1/rooms/context/history?roomId=den",
    "/v1/operator/overrides?roomId=den",
    "/v1/operator/audit?roomId=den",
];

/// The viewer decides, not the actor whose events are read.
#[tokio::test]
async fn read_gate_admits_members_only() {
    let (_directory, launch) = launch_with_table(&[], 3_600_000).await;
    let server = launch.env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    let _ = client.act("/v1/snapshots/room", json!({"roomId": "den", "actorId": "Nova"})).await.data();
    for read in TABLE_READS {
        for viewer in ["Nova", "Kai"] {
            let answer = client.get(&format!("{read}&viewerActorId={viewer}")).await;
            assert_eq!(answer.status, 200, "{read} {viewer}: {}", answer.text);
        }
        let answer = client.get(&format!("{read}&viewerActorId=Eve")).await;
        let details = answer.error(403, "ERR_FORBIDDEN");
        assert_eq!((&details["actorId"], &details["action"]), (&json!("Eve"), &json!("read")), "{read}");
        let answer = client.clone().lenient().get(&format!("{read}&viewerActorId=Eve&actorId=Nova")).await;
        let _ = answer.error(403, "ERR_FORBIDDEN");
        let answer = client.get(read).await;
        let details = answer.error(400, "ERR_MISSING_FIELD");
        assert_eq!(
            (&details["field"], &details["roomId"]),
            (&json!("viewerActorId"), &json!("den")),
            "{read}"
        );
    }
    for read in ["/v1/bootstrap?roomId=den", "/v1/events/poll?timeoutMs=0&roomId=den&tenantId=default"] {
        assert_eq!(client.get(&format!("{read}&actorId=Kai")).await.status, 200, "{read}: the actor reads");
        let _ = client.get(&format!("{read}&actorId=Eve")).await.error(403, "ERR_FORBIDDEN");
    }
    let stream = "/v1/streams/market-events?roomId=den";
    let outsider = client.request(Method::GET, &format!("{stream}&viewerActorId=Eve")).stream().await;
    let _ = outsider.unwrap_err().error(403, "ERR_FORBIDDEN");
    let mut stream = client.stream(&format!("{stream}&viewerActorId=Kai")).await;
    assert_eq!(stream.next_event().await.data["type"], "snapshot_created");
}

/// A session is readable by its owner and guests.
#[tokio::test]
async fn read_gate_admits_members_only_to_records_by_id() {
    let (_directory, launch) = launch_with_table(&["task_board", "shared_objects"], 3_600_000).await;
    let server = launch.env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    let task = act(&client, "Nova", "/v1/tasks", json!({"title": "Sweep"})).await.data()["task"].clone();
    let object = act(&client, "Nova", "/v1/objects", json!({"content": "x"})).await.data()["object"].clone();
    let said = act(&client, "Nova", "/v1/commands/say", json!({"text": "hi", "messageId": "m1"})).await;
    assert_eq!(said.status, 202, "{}", said.text);
    let sessions = async |viewer: &str| {
        client.get(&format!("/v1/table-sessions?roomId=den{viewer}")).await.data().clone()
    };
    let session = sessions("&viewerActorId=Nova").await["sessions"][0].clone();
    assert!(session["paymentProvider"].is_string(), "the owner sees the payment: {session}");
    let things = [
        format!("/v1/tasks/{}", text(&task["taskId"])),
        format!("/v1/tasks/{}/handoffs", text(&task["taskId"])),
        format!("/v1/objects/{}", text(&object["objectId"])),
        format!("/v1/table-sessions/{}", text(&session["sessionId"])),
        "/v1/messages/m1".to_owned(),
    ];
    for thing in things {
        for viewer in ["Nova", "Kai"] {
            assert_eq!(client.get(&format!("{thing}?viewerActorId={viewer}")).await.status, 200, "{thing}");
        }
        let answer = client.get(&format!("{thing}?viewerActorId=Eve")).await;
        let details = answer.error(403, "ERR_FORBIDDEN");
        assert_eq!(
            (&details["action"], &details["roomId"], &details["sessionId"]),
            (&json!("read"), &json!("den"), &session["sessionId"]),
            "{thing}"
        );
        assert_eq!(
            client.get(&thing).await.error(400, "ERR_MISSING_FIELD")["field"],
            "viewerActorId",
            "{thing}"
        );
        let foreign = client.get(&format!("{thing}?viewerActorId=Nova&tenantId=acme")).await;
        let _ = foreign.error(404, "ERR_NOT_FOUND");
    }
    for (viewer, count) in [("&viewerActorId=Kai", 1), ("&viewerActorId=Eve", 0), ("", 0)] {
        assert_eq!(sessions(viewer).await["count"], count, "{viewer}");
    }
}

/// And to nothing else of the table, if they are not members.
#[tokio::test]
async fn read_gate_admits_operators_to_overrides_and_audit() {
    let (_directory, launch) = launch_with_table(&[], 3_600_000).await;
    let server = launch.env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    let _ = act(&client, "Op", "/v1/permissions", json!({"canModerate": true})).await.data();
    for (read, status) in [
        ("/v1/operator/overrides?roomId=den&viewerActorId=Op", 200),
        ("/v1/operator/overrides?roomId=den&operatorId=Op", 200),
        ("/v1/operator/audit?roomId=den&viewerActorId=Op", 200),
        ("/v1/operator/audit?roomId=den&viewerActorId=Eve", 403),
        ("/v1/tasks?roomId=den&viewerActorId=Op", 403),
        ("/v1/events?roomId=den&viewerActorId=Op", 403),
    ] {
        assert_eq!(client.get(read).await.status, status, "{read}");
    }
}

#[tokio::test]
async fn read_gate_hides_deliveries_and_dlq_entries_from_others() {
    let (_directory, launch) = launch_with_table(&["event_subscriptions"], 3_600_000).await;
    let server = launch.env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reaction::status(500));
    for room in ["den", "main"] {
        let body = json!({"roomId": room, "actorId": "Nova", "targetUrl": receiver.url("/hook"), "maxRetries": 0,
            "eventTypes": ["order_changed"]});
        let _ = client.act("/v1/subscriptions", body).await.data();
        order(&client, "default", room).await;
    }
    for (path, list) in [("/v1/subscriptions/dlq", "dlq"), ("/v1/subscriptions/deliveries", "deliveries")] {
        let rooms = async |viewer: &str| {
            let page = client.get(&format!("{path}{viewer}")).await.data().clone();
            let entries = page[list].as_array().expect("a list").clone();
            assert_eq!(page["count"], entries.len());
            let mut rooms: Vec<String> =
                entries.iter().map(|entry| text(&entry["roomId"]).to_owned()).collect();
            rooms.sort_unstable();
            rooms
        };
        eventually("deliveries of both rooms are recorded", SOON, async || {
            (rooms("?viewerActorId=Nova").await == ["den", "main"]).then_some(())
        })
        .await;
        assert_eq!(rooms("?viewerActorId=Kai").await, ["den", "main"], "{path}");
        for outsider in ["?viewerActorId=Eve", ""] {
            assert_eq!(rooms(outsider).await, ["main"], "{path} {outsider}");
        }
    }
}

/// Whether reads are gated or not. The viewer is `viewerActorId`, else `actorId`.
#[tokio::test]
async fn replay_of_a_private_table_needs_membership_and_feature() {
    let (_directory, launch) = launch_with_table(&["replay"], 3_600_000).await;
    let server = launch.start().await;
    let client = server.client();
    for actor in ["Nova", "Kai"] {
        let body = json!({"roomId": "den", "actorId": actor, "itemId": "tea"});
        let _ = client.act("/v1/commands/order", body).await.data();
    }
    let replay = async |query: &str| client.get(&format!("/v1/replay?roomId=den{query}")).await;
    assert_eq!(replay("&viewerActorId=Nova").await.data()["count"], 4, "all events");
    assert_eq!(replay("&actorId=Kai").await.data()["count"], 2, "what Kai did");
    assert_eq!(replay("&viewerActorId=Nova&actorId=Kai").await.data()["count"], 2);
    let _ = replay("&viewerActorId=Eve&actorId=Kai").await.error(403, "ERR_FORBIDDEN");
    let details = replay("").await.error(400, "ERR_MISSING_FIELD").clone();
    assert_eq!(details, json!({"field": "actorId", "roomId": "den", "action": "replay"}));
    for read in TABLE_READS.iter().filter(|read| !read.contains("snapshots")) {
        assert_eq!(client.get(read).await.status, 200, "{read}: not gated");
    }

    let (_directory, launch) = launch_with_table(&["task_board"], 3_600_000).await;
    let server = launch.start().await;
    let refused = server.client().get("/v1/replay?roomId=den&viewerActorId=Nova").await;
    let details = refused.error(403, "ERR_PLAN_FEATURE_DISABLED");
    assert_eq!(
        (&details["requiredFeature"], &details["planId"], &details["enabledFeatures"]),
        (&json!("replay"), &json!("americano"), &json!(["basic_thread_chat", "task_board"]))
    );
}

/// With the reason.
#[tokio::test]
async fn table_close_ends_its_streams() {
    let (_directory, launch) = launch_with_table(&[], 12_000).await;
    // The session is not ended, it expires.
    let launch = launch
        .env("PRIVATE_TABLE_READ_GATE", "members")
        .env("API_STREAM_HEARTBEAT_MS", 50)
        .env("TABLE_SESSION_SWEEP_MS", 600_000);
    let server = launch.start().await;
    let path = "/v1/streams/market-events?roomId=den&viewerActorId=Nova";
    let mut stream = server.client().stream(path).await;
    assert_eq!(stream.next().await.event, "ready");
    let mut frame = stream.next().await;
    while frame.event == "heartbeat" {
        frame = stream.next().await;
    }
    assert_eq!((frame.event.as_str(), &frame.data["code"]), ("error", &json!("ERR_FORBIDDEN")));
    assert_eq!(stream.next_within(SOON).await, Err(agentcafe_testkit::Silence::Ended));
    let again = server.client().request(Method::GET, path).stream().await.unwrap_err();
    assert!(again.error(403, "ERR_FORBIDDEN")["expiredAt"].is_string());
}

/// Every read of a room's data, without the room.
const READS: [&str; 10] = [
    "/v1/events?",
    "/v1/timeline?",
    "/v1/mentions?",
    "/v1/events/poll?timeoutMs=0&",
    "/v1/presence?",
    "/v1/presence/last-seen?",
    "/v1/tasks?",
    "/v1/objects?",
    "/v1/operator/overrides?",
    "/v1/operator/audit?",
];

async fn order(client: &Client, tenant: &str, room: &str) {
    let body = json!({"actorId": "Nova", "tenantId": tenant, "roomId": room, "itemId": "tea"});
    let _ = client.act("/v1/commands/order", body).await.data();
}

/// A read or a stream without a room would span private tables.
#[tokio::test]
async fn read_gate_requires_a_room() {
    let server = launch().env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    order(&client, "default", "main").await;
    for read in READS {
        let answer = client.get(read).await;
        assert_eq!(answer.error(403, "ERR_FORBIDDEN")["field"], "roomId", "{read}");
        assert_eq!(
            client.get(&format!("{read}tenantId=default&viewerActorId=Nova")).await.status,
            403,
            "{read}"
        );
        assert_eq!(client.get(&format!("{read}roomId=main")).await.status, 200, "{read}");
        assert_eq!(client.get(&format!("{read}roomId=main&viewerActorId=Eve")).await.status, 200, "{read}");
    }
    for stream in ["/v1/streams/market-events", "/v1/events/stream"] {
        let refused = client.request(Method::GET, stream).stream().await.unwrap_err();
        let _ = refused.error(403, "ERR_FORBIDDEN");
        let mut stream = client.stream(&format!("{stream}?roomId=main")).await;
        assert_eq!(stream.next_event().await.data["type"], "order_changed");
    }
    assert_eq!(Socket::open(server.address(), "/v1/ws", &[]).await.map(drop), Err(Some(403)));
    let mut socket = Socket::open(server.address(), "/v1/ws?roomId=main", &[]).await.expect("it opens");
    assert_eq!(socket.next_event().await.data["type"], "order_changed");
    let of_rooms = [
        "/v1/bootstrap",
        "/v1/replay",
        "/v1/memory/local",
        "/v1/collaboration/score",
        "/v1/rooms/context/pin",
        "/v1/rooms/context/history",
    ];
    for read in of_rooms {
        assert_eq!(client.get(read).await.status, 200, "{read}: the default room is main");
    }
    assert_eq!(client.get("/v1/inbox?actorId=Nova").await.status, 200, "an inbox belongs to no room");
}

/// A missing tenant is `default`.
#[tokio::test]
async fn read_gate_checks_the_room_of_the_tenant_that_is_read() {
    let server = launch().env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    order(&client, "acme", "main").await;
    for read in ["/v1/events?", "/v1/timeline?", "/v1/events/poll?timeoutMs=0&"] {
        assert_eq!(client.get(&format!("{read}roomId=main")).await.data()["count"], 0, "{read}");
        let named = client.get(&format!("{read}roomId=main&tenantId=acme")).await;
        assert_ne!(named.data()["count"], 0, "{read}");
    }
}

/// `viewerActorId` may be sent all the same; it must be a valid id.
#[tokio::test]
async fn read_gate_is_off_by_default() {
    let (_server, client) = cafe().await;
    order(&client, "default", "main").await;
    for read in READS {
        assert_eq!(client.get(&format!("{read}viewerActorId=Eve")).await.status, 200, "{read}");
        let invalid = client.get(&format!("{read}viewerActorId=a%07b")).await;
        assert_eq!(invalid.error(400, "ERR_VALIDATION")["field"], "viewerActorId", "{read}");
    }
}

/// Kind: what a private table tells by another way than its room's reads. Notes of handoffs and mentions reach the inbox of whom
/// they name, member or not: whoever may not read the room sees none of them, in lists, in answers and in counts.
#[tokio::test]
async fn read_gate_covers_inboxes_and_assigned_tasks() {
    let (_directory, launch) = launch_with_table(&["task_board"], 3_600_000).await;
    let server = launch.env("PRIVATE_TABLE_READ_GATE", "members").start().await;
    let client = server.client();
    let task = json!({"roomId": "den", "actorId": "Nova", "title": "the secret task"});
    let task = client.act("/v1/tasks", task).await.data()["task"]["taskId"].as_str().unwrap().to_owned();
    for to in ["Kai", "Eve"] {
        let over =
            json!({"actorId": "Nova", "action": "assign", "toAssigneeActorId": to, "note": "a secret note"});
        let _ = client.act(&format!("/v1/tasks/{task}/handoffs"), over).await.data();
    }
    let inbox =
        async |actor: &str| client.get(&format!("/v1/inbox?actorId={actor}&viewerActorId={actor}")).await;
    let bootstrap = async |actor: &str| client.get(&format!("/v1/bootstrap?actorId={actor}")).await;
    let known = inbox("Kai").await.data()["items"].as_array().unwrap().clone();
    assert!(known.iter().any(|item| item["payload"]["note"] == "a secret note"), "{known:?}");
    for answer in [inbox("Eve").await, bootstrap("Eve").await] {
        assert!(!answer.text.contains("secret"), "{}", answer.text);
    }
    assert_eq!(inbox("Eve").await.data()["unreadCount"], 0);
    assert_eq!(bootstrap("Eve").await.data()["actor"]["unreadCount"], 0);
    // The ids of the items, as a member of the room could tell them.
    let all = client.get("/v1/inbox?roomId=den&viewerActorId=Nova").await;
    let of_eve = |item: &&Value| item["actorId"] == "Eve";
    let id =
        all.data()["items"].as_array().unwrap().iter().find(of_eve).unwrap()["inboxId"].as_str().unwrap();
    let ack = client.act(&format!("/v1/inbox/{id}/ack"), json!({"actorId": "Eve"})).await;
    let _ = ack.error(403, "ERR_FORBIDDEN");
    assert!(!ack.text.contains("secret"), "{}", ack.text);
    let _ = client.get("/v1/inbox").await.error(403, "ERR_FORBIDDEN");
}
