//! `GET /v1/rooms?scope=active`: every room in which anything happened, and what is in it.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use agentcafe_testkit::{Answer, SHARED_TOKEN, Value, json};
use tempfile::TempDir;

use crate::stored_tables::{StoredTable, store_tables};
use crate::{cafe, launch, log};

const ACTIVE: &str = "/v1/rooms?scope=active";

fn ids(answer: &Answer) -> Vec<&str> {
    answer.data()["rooms"].as_array().unwrap().iter().map(|room| room["roomId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn active_rooms_have_what_is_in_them_newest_event_first() {
    let (_server, client) = cafe().await;
    let empty = client.get(ACTIVE).await;
    assert_eq!(*empty.data(), json!({"rooms": [], "count": 0, "nextCursor": null}));
    let act = async |path: &str, body: Value| {
        let answer = client.act(path, body).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
    };
    act("/v1/rooms", json!({"actorId": "Nova", "roomId": "den", "displayName": "The Den"})).await;
    act("/v1/tasks", json!({"actorId": "Nova", "roomId": "attic", "title": "a"})).await;
    act("/v1/tasks", json!({"actorId": "Nova", "roomId": "attic", "title": "b", "state": "done"})).await;
    act("/v1/commands/enter", json!({"actorId": "Kai", "roomId": "main"})).await;
    act("/v1/commands/say", json!({"actorId": "Nova", "roomId": "main", "text": "@Kai and @Kai"})).await;
    act("/v1/commands/enter", json!({"actorId": "Kai", "roomId": "elsewhere", "tenantId": "other"})).await;
    let listed = client.get(&format!("{ACTIVE}&actorId=Kai")).await;
    assert_eq!(ids(&listed), ["main", "attic", "den"]);
    let rooms = &listed.data()["rooms"];
    let last = log(&client).await.into_iter().rfind(|event| event["roomId"] == "main").unwrap();
    let main = json!({"tenantId": "default", "roomId": "main", "roomType": "lobby", "displayName": null, "ownerActorId": null,
        "metadata": {}, "createdAt": null, "updatedAt": null, "lastEventAt": last["timestamp"], "lastSequence": last["sequence"],
        "presentCount": 2, "openTaskCount": 0, "unreadCount": 1});
    assert_eq!(rooms[0], main);
    assert_eq!((&rooms[1]["openTaskCount"], &rooms[1]["unreadCount"]), (&json!(1), &json!(0)));
    assert_eq!((&rooms[2]["displayName"], &rooms[2]["presentCount"]), (&json!("The Den"), &json!(0)));
    assert_eq!(client.get(ACTIVE).await.data()["rooms"][0]["unreadCount"], json!(null));
    assert_eq!(ids(&client.get(&format!("{ACTIVE}&tenantId=other")).await), ["elsewhere"]);
    for (room, name) in [("main", json!(null)), ("attic", json!(null)), ("den", json!("The Den"))] {
        let one = client.get(&format!("/v1/rooms/{room}")).await;
        assert_eq!(
            (&one.data()["room"]["roomType"], &one.data()["room"]["displayName"]),
            (&json!("lobby"), &name)
        );
        assert_eq!(client.get(&format!("/v1/rooms?roomId={room}")).await.data(), one.data());
    }
    let page = client.get(&format!("{ACTIVE}&limit=2")).await;
    let cursor = page.data()["nextCursor"].as_str().unwrap();
    let rest = client.get(&format!("{ACTIVE}&limit=2&cursor={cursor}")).await;
    assert_eq!(
        (ids(&page), ids(&rest), &rest.data()["nextCursor"]),
        (vec!["main", "attic"], vec!["den"], &json!(null))
    );
    assert_eq!(ids(&client.get("/v1/rooms").await), ["den"]);
    for (query, field) in [("roomId=main", "roomId"), ("roomType=lobby", "roomType"), ("cursor=x", "cursor")]
    {
        let refused = client.get(&format!("{ACTIVE}&{query}")).await;
        assert_eq!(refused.error(400, "ERR_VALIDATION")["field"], field);
    }
    let _ = client.get("/v1/rooms?scope=all").await.error(400, "ERR_INVALID_ENUM");
}

/// A key sees its rooms, and what is unread for its actor if it may read inboxes.
#[tokio::test]
async fn active_rooms_of_a_key_are_its_own() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    for room in ["lab", "team/x", "vault", "team/y", "teams"] {
        let said = root
            .act(
                "/v1/commands/say",
                json!({"actorId": "Nova", "roomId": room, "text": "hi", "mentions": ["Kai"]}),
            )
            .await;
        assert_eq!(said.status, 202, "{}", said.text);
    }
    for (rooms, scopes, want, unread) in [
        (json!(["lab", "team/"]), json!(["listen", "inbox"]), &["team/y", "team/x", "lab"][..], json!(1)),
        (json!(["lab"]), json!(["listen"]), &["lab"], json!(null)),
        (json!(["nowhere", "vaul"]), json!(["listen"]), &[], json!(null)),
        (json!(["*"]), json!(["listen", "inbox"]), &["teams", "team/y", "vault", "team/x", "lab"], json!(1)),
    ] {
        let key = root.make_key(json!({"scopes": scopes, "actors": ["Kai"], "rooms": rooms})).await.client;
        let listed = key.get(ACTIVE).await;
        assert_eq!(ids(&listed), want, "{rooms}");
        let counts: Vec<&Value> =
            listed.data()["rooms"].as_array().unwrap().iter().map(|room| &room["unreadCount"]).collect();
        assert!(counts.iter().all(|count| **count == unread), "{rooms}: {counts:?}");
        let _ = key.get(&format!("{ACTIVE}&actorId=Nova")).await.error(403, "ERR_FORBIDDEN");
        if !want.contains(&"vault") {
            let _ = key.get("/v1/rooms/vault").await.error(404, "ERR_NOT_FOUND");
        }
    }
}

/// Where reading is gated.
#[tokio::test]
async fn active_rooms_leave_out_tables_that_the_viewer_may_not_read() {
    for (gate, viewer, want) in [
        ("off", "", &["main", "den"][..]),
        ("members", "", &["main"]),
        ("members", "&viewerActorId=Eve", &["main"]),
        ("members", "&actorId=Kai", &["main", "den"]),
        ("members", "&actorId=Eve&viewerActorId=Nova", &["main", "den"]),
    ] {
        let directory = TempDir::new().unwrap();
        let table = StoredTable {
            room: "den",
            features: vec!["basic_thread_chat"],
            guests: &["Kai"],
            open_for_ms: 3_600_000,
            is_paused: false,
        };
        store_tables(directory.path(), vec![table]).await;
        let launch = launch().data_dir(directory.path()).env("PRIVATE_TABLE_READ_GATE", gate);
        let server = launch.start().await;
        let client = server.client();
        let _ = client
            .act("/v1/commands/say", json!({"actorId": "Nova", "roomId": "den", "text": "hi"}))
            .await
            .data();
        let _ = client.act("/v1/commands/say", json!({"actorId": "Eve", "text": "hi"})).await.data();
        assert_eq!(ids(&client.get(&format!("{ACTIVE}{viewer}")).await), want, "{gate} {viewer}");
        let bootstrap = client.get(&format!("/v1/bootstrap?{}", viewer.trim_start_matches('&'))).await;
        let named = bootstrap.data()["discovery"]["activeRooms"].as_array().unwrap().len();
        assert_eq!(named, want.len(), "{gate} {viewer}");
    }
}
