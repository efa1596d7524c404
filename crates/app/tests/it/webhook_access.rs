//! Webhooks of private tables: who may subscribe, and which events a subscription without a room gets.

use std::path::Path;
use std::sync::Arc;

use agentcafe_domain::kernel::{
    ActorId, Command, CommandContext, CommandError, CorrelationId, Query, Reply, RoomId, Rules, Success,
    TenantId, Timestamp, Usd,
};
use agentcafe_domain::permissions::RoomOverride;
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::tables::{SessionStatus, TableSession};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_store::{Envelope, Options, Store};
use agentcafe_testkit::{Client, Receiver, Server, json};
use serde_json::Map;

use crate::launch;
use crate::webhook_delivery::{say, talk, texts};
use crate::webhook_subscriptions::{change, delete, subscribe};

const EVER: Timestamp = Timestamp::from_millis(4_000_000_000_000);
const ALL: &[&str] = &["event_subscriptions", "basic_thread_chat"];

/// Puts a private table and its session into a store, without the commands that sell it.
struct Furnish {
    room: RoomId,
    features: &'static [&'static str],
    is_paused: bool,
}

fn actor(name: &str) -> ActorId {
    ActorId::parse(name).expect("an actor")
}

impl Command for Furnish {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, moment: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let (tenant_id, room_id, now) = (TenantId::default(), self.room.clone(), moment.now);
        let room = Room::without_record(tenant_id.clone(), room_id.clone());
        moment.put(&Room { room_type: RoomType::PrivateTable, ..room });
        let session_id = moment.fresh_id();
        moment.put(&TableSession {
            session_id,
            tenant_id: tenant_id.clone(),
            room_id: room_id.clone(),
            owner_actor_id: actor("Nova"),
            plan_id: "americano".to_owned(),
            max_agents: 8,
            features: self.features.iter().map(|name| (*name).to_owned()).collect(),
            invited_actor_ids: Vec::new(),
            status: SessionStatus::Active,
            started_at: now,
            expires_at: EVER,
            ended_at: None,
            payment_ref: None,
            payment_amount_usd: Usd::from_cents(0),
            payment_provider: "off".to_owned(),
            metadata: Map::new(),
            created_at: now,
            updated_at: now,
        });
        moment.put(&RoomOverride {
            tenant_id,
            room_id,
            room_paused: self.is_paused,
            paused_by: None,
            pause_reason: None,
            paused_at: None,
            resumed_at: None,
            muted_actors: Default::default(),
            metadata: Map::new(),
            created_at: now,
            updated_at: now,
        });
        Ok(Reply::new(Success::Ok, &()))
    }
}

async fn furnish(directory: &Path, rooms: Vec<Furnish>) {
    let (store, closing) = Store::open(Options {
        location: crate::place_of(directory),
        rules: Rules::default(),
        clock: Arc::new(SystemClock::start()),
        ids: Box::new(RandomIds::new()),
        on_commit: Box::new(|_| {}),
    })
    .expect("a fresh store");
    for room in rooms {
        let correlation_id = CorrelationId::parse("furnish").expect("an id");
        let envelope = Envelope { command: Arc::new(room), correlation_id, request: None, outcome: None };
        store.submit(envelope).await.expect("the store takes it");
    }
    drop(store);
    tokio::task::spawn_blocking(move || closing.wait()).await.expect("the store closes");
}

fn table(name: &str, features: &'static [&'static str], is_paused: bool) -> Furnish {
    Furnish { room: RoomId::parse(name).expect("a room"), features, is_paused }
}

/// A café with Nova's private tables: `attic`, whose plan includes subscriptions; `cellar`, whose plan does not; and `closed`,
/// which is paused.
async fn cafe_with_tables() -> (tempfile::TempDir, Server, Client) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let tables = vec![table("attic", ALL, false), table("cellar", &[], false), table("closed", ALL, true)];
    furnish(directory.path(), tables).await;
    let server = launch().data_dir(directory.path()).start().await;
    let client = server.client();
    (directory, server, client)
}

/// To create, change or end it. A change is checked against the new room; a pause blocks it.
#[tokio::test]
async fn webhook_subscription_to_a_private_table_requires_membership_and_feature() {
    let (_directory, _server, client) = cafe_with_tables().await;
    let body = |room: &str, actor: Option<&str>| {
        let mut body = talk("http://127.0.0.1:9/".to_owned());
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
    for (gate, told) in [("off", &["before", "two"][..]), ("members", &["before"][..])] {
        let (directory, mut server, client) = cafe_with_tables().await;
        let receiver = Receiver::start().await;
        for (path, room, actor) in [
            ("/nobody", None, None),
            ("/nova", None, Some("Nova")),
            ("/nova-upstairs", Some("attic"), Some("Nova")),
            ("/later", Some("later"), None),
        ] {
            let mut body = talk(receiver.url(path));
            (body["roomId"], body["actorId"]) = (json!(room), json!(actor));
            subscribe(&client, body).await;
        }
        say(&client, "later", "before").await;
        for path in ["/later", "/nova", "/nobody"] {
            receiver.wait(path, 1).await;
        }
        assert!(server.stop().await.success());
        furnish(directory.path(), vec![table("later", ALL, false)]).await;
        let launch = launch().data_dir(directory.path()).env("PRIVATE_TABLE_READ_GATE", gate);
        let server = launch.start().await;
        let client = server.client();
        for (room, text) in [("attic", "one"), ("later", "two"), ("main", "three")] {
            say(&client, room, text).await;
        }
        let wants: [(&str, &[&str]); 4] = [
            ("/nova", &["before", "one", "two", "three"]),
            ("/nobody", &["before", "three"]),
            ("/nova-upstairs", &["one"]),
            ("/later", told),
        ];
        for (path, want) in wants {
            assert_eq!(texts(&receiver.wait(path, want.len()).await), want, "{gate} {path}");
        }
    }
}
