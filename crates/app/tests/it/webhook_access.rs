//! Webhooks of private tables: who may subscribe, and which events a subscription without a room gets.

use agentcafe_testkit::{Client, Receiver, Server, json};

use crate::stored_tables::{StoredTable, store_tables};
use crate::webhook_delivery::{message_subscription, message_texts};
use crate::webhook_subscriptions::{change, delete, subscribe};
use crate::{launch, say_in};

const ALL: &[&str] = &["event_subscriptions", "basic_thread_chat"];
const A_DAY_MS: i64 = 86_400_000;

fn table(room: &'static str, features: &[&'static str], is_paused: bool) -> StoredTable {
    StoredTable { room, features: features.to_vec(), guests: &[], open_for_ms: A_DAY_MS, is_paused }
}

/// A server with Nova's private tables: `attic`, whose plan includes subscriptions; `cellar`, whose plan does not;
/// and `closed`, which is paused.
async fn cafe_with_tables() -> (tempfile::TempDir, Server, Client) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let tables = vec![table("attic", ALL, false), table("cellar", &[], false), table("closed", ALL, true)];
    store_tables(directory.path(), tables).await;
    let server = launch().data_dir(directory.path()).start().await;
    let client = server.client();
    (directory, server, client)
}

/// To create, change or end it. A change is checked against the new room; a pause blocks it.
#[tokio::test]
async fn webhook_subscription_to_a_private_table_requires_membership_and_feature() {
    let (_directory, _server, client) = cafe_with_tables().await;
    let body = |room: &str, actor: Option<&str>| {
        let mut body = message_subscription("http://127.0.0.1:9/".to_owned());
        (body["roomId"], body["actorId"], body["enabled"]) = (json!(room), json!(actor), json!(false));
        body
    };
    let cases = [
        ("attic", None, 400, "ERR_MISSING_FIELD"),
        ("attic", Some("Kai"), 403, "ERR_FORBIDDEN"),
        ("cellar", Some("Nova"), 403, "ERR_PLAN_FEATURE_DISABLED"),
        ("closed", Some("Nova"), 423, "ERR_OPERATOR_OVERRIDE_BLOCKED"),
    ];
    let lobby = subscribe(&client, body("main", Some("Kai"))).await;
    for (room, actor, status, code) in cases {
        let created = client.act("/v1/subscriptions", body(room, actor)).await;
        let details = created.error(status, code);
        assert_eq!(
            (&details["action"], &details["roomId"]),
            (&json!("event_subscription_create"), &json!(room))
        );
        let changed = change(&client, &lobby, json!({"roomId": room, "actorId": actor})).await;
        assert_eq!(changed.error(status, code)["action"], "event_subscription_update", "{room} {actor:?}");
    }
    let late = change(&client, &lobby, json!({"roomId": "attic", "maxRetries": 99})).await;
    let _ = late.error(403, "ERR_FORBIDDEN");
    let early = client.act("/v1/subscriptions", json!({"targetUrl": "x", "roomId": "attic"})).await;
    let _ = early.error(400, "ERR_INVALID_URL");
    let own = subscribe(&client, body("attic", Some("Nova"))).await;
    let _ = change(&client, &own, json!({"actorId": "Kai"})).await.error(403, "ERR_FORBIDDEN");
    let _ = change(&client, &own, json!({"maxRetries": 0})).await.data();
    let stranger = change(&client, &lobby, json!({"roomId": "attic", "actorId": "Nova"})).await;
    let _ = stranger.data();
    let _ = delete(&client, &own).await.data();
}

/// A subscription to a room that became private later gets its events only while reads are not gated.
#[tokio::test]
async fn webhook_without_a_room_gets_private_events_of_members_only() {
    for (gate, expected) in [("off", &["before", "two"][..]), ("members", &["before"][..])] {
        let (directory, mut server, client) = cafe_with_tables().await;
        let receiver = Receiver::start().await;
        for (path, room, actor) in [
            ("/nobody", None, None),
            ("/nova", None, Some("Nova")),
            ("/nova-upstairs", Some("attic"), Some("Nova")),
            ("/later", Some("later"), None),
        ] {
            let mut body = message_subscription(receiver.url(path));
            (body["roomId"], body["actorId"]) = (json!(room), json!(actor));
            subscribe(&client, body).await;
        }
        say_in(&client, "later", "before").await;
        for path in ["/later", "/nova", "/nobody"] {
            receiver.wait(path, 1).await;
        }
        assert!(server.stop().await.success());
        store_tables(directory.path(), vec![table("later", ALL, false)]).await;
        let launch = launch().data_dir(directory.path()).env("PRIVATE_TABLE_READ_GATE", gate);
        let server = launch.start().await;
        let client = server.client();
        for (room, text) in [("attic", "one"), ("later", "two"), ("main", "three")] {
            say_in(&client, room, text).await;
        }
        let wants: [(&str, &[&str]); 4] = [
            ("/nova", &["before", "one", "two", "three"]),
            ("/nobody", &["before", "three"]),
            ("/nova-upstairs", &["one"]),
            ("/later", expected),
        ];
        for (path, want) in wants {
            assert_eq!(message_texts(&receiver.wait(path, want.len()).await), want, "{gate} {path}");
        }
    }
}
