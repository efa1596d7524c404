//! Rooms and keys: a key that is bound to rooms reaches nothing of the others, and no key takes a room that others use.

use agentcafe_testkit::{Client, Method, SHARED_TOKEN, Server, Value, fresh_key, json};

use crate::{launch, merged};

const SCOPES: [&str; 4] = ["act", "listen", "inbox", "host"];

async fn cafe() -> (Server, Client) {
    let server = launch().with_shared_token().env("PRIVATE_TABLE_PAYMENT_MODE", "off").start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    (server, root)
}

/// A key of this actor, in these rooms.
async fn key(root: &Client, actor: &str, rooms: &[&str]) -> Client {
    root.make_key(json!({"scopes": SCOPES, "actors": [actor], "rooms": rooms})).await.client
}

/// Kind: a record that is found by its id is in a room, too.
#[tokio::test]
async fn key_of_one_room_changes_nothing_of_its_actor_in_another() {
    let (_server, root) = cafe().await;
    let (everywhere, in_lab) = (key(&root, "Kai", &["*"]).await, key(&root, "Kai", &["lab"]).await);
    let _ = root
        .act("/v1/commands/say", json!({"actorId": "Nova", "roomId": "bar", "text": "@Kai"}))
        .await
        .data();
    let inbox = everywhere.get("/v1/inbox?unreadOnly=true").await;
    let item = inbox.data()["items"][0]["inboxId"].as_str().unwrap().to_owned();
    let ack = format!("/v1/inbox/{item}/ack");
    let _ = in_lab.act(&ack, json!({})).await.error(404, "ERR_NOT_FOUND");
    let _ = everywhere.act(&ack, json!({})).await.data();

    let opened = everywhere.act("/v1/table-sessions", json!({"roomId": "den", "planId": "espresso"})).await;
    let session = opened.data()["session"]["sessionId"].as_str().unwrap().to_owned();
    let end = async |client: &Client| {
        let path = format!("/v1/table-sessions/{session}");
        client.request(Method::PATCH, &path).key(&fresh_key()).json(&json!({"status": "ended"})).send().await
    };
    let _ = end(&in_lab).await.error(404, "ERR_NOT_FOUND");
    assert_eq!(end(&everywhere).await.data()["session"]["status"], "ended");
}

/// Kind: a room is taken from those who use it without being there at this moment.
#[tokio::test]
async fn key_takes_no_room_that_another_used_within_a_day() {
    let (_server, root) = cafe().await;
    let (kai, nova) = (key(&root, "Kai", &["*"]).await, key(&root, "Nova", &["*"]).await);
    let say = |text: &str| json!({"roomId": "lab", "text": text});
    let _ = nova.act("/v1/commands/say", say("mine, too")).await.data();
    let _ = nova.act("/v1/commands/leave", json!({"roomId": "lab"})).await.data();
    let room: Value = json!({"roomId": "lab", "displayName": "Kai's lab"});
    let _ = kai.act("/v1/rooms", room.clone()).await.error(403, "ERR_FORBIDDEN");
    let table = json!({"roomId": "lab", "planId": "espresso"});
    let _ = kai.act("/v1/table-sessions", table).await.error(403, "ERR_FORBIDDEN");
    // One's own traces are in nobody's way.
    let _ = kai.act("/v1/commands/say", json!({"roomId": "attic", "text": "hello?"})).await.data();
    let _ = kai.act("/v1/commands/leave", json!({"roomId": "attic"})).await.data();
    let owned = kai.act("/v1/rooms", json!({"roomId": "attic"})).await;
    assert_eq!(owned.data()["room"]["ownerActorId"], "Kai");
    let _ = root.act("/v1/rooms", merged(room, &json!({"actorId": "Kai"}))).await.data();
}
