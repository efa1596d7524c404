//! Data of an earlier version opens with this one: the log is unchanged, keys replay, cursors resume, and no record has an owner.
//!
//! `tests/fixtures/0.1.0` was made by the binary of that version: one request to every mutation, each under a key of
//! its own (`*.mutations.jsonl`, with the response that a replay got), and all events after them (`*.events.json`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentcafe_testkit::{Answer, Client, Launch, Postgres, Value, json};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::launch;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).expect("the fixture")
}

/// Every mutation of the fixture is replayed, and has no other effect.
async fn assert_keys_replay(client: &Client, store: &str) {
    let mutations = read(&format!("{store}.mutations.jsonl"));
    for line in mutations.lines() {
        let mutation: Value = serde_json::from_str(line).expect("a recorded mutation");
        let text = |name: &str| mutation[name].as_str().expect("a text");
        let method = text("method").parse().expect("a method");
        let request = client.request(method, text("path")).key(text("key"));
        let request = if mutation["body"].is_null() { request } else { request.json(&mutation["body"]) };
        let answer = request.send().await;
        let route = (text("method"), text("path"));
        assert_eq!(answer.header("x-idempotent-replay"), Some("true"), "{route:?}: {}", answer.text);
        assert_eq!((answer.status, &answer.json), (status(&mutation), &mutation["answer"]), "{route:?}");
    }
    assert_eq!(mutations.lines().count(), 40, "one line per mutation");
}

fn status(mutation: &Value) -> u16 {
    mutation["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status")
}

/// The log starts with the fixture's events, byte for byte, and continues after its cursor.
async fn assert_log_continues(client: &Client, store: &str) {
    let stored: Vec<Value> =
        serde_json::from_str(&read(&format!("{store}.events.json"))).expect("recorded events");
    let head = stored.last().and_then(|event| event["sequence"].as_u64()).expect("a sequence");
    let page = client.get(&format!("/v1/events?limit={head}")).await;
    assert_eq!(page.data()["events"].as_array(), Some(&stored));
    let said =
        client.post("/v1/commands/say", "new", json!({ "actorId": "Nova", "text": "still here" })).await;
    let sequence = said.data()["sequence"].as_u64().expect("a sequence");
    assert!(sequence > head, "{}", said.text);
    let later = client.get(&format!("/v1/events?cursor={head}&types=conversation_message_posted")).await;
    assert_eq!(later.data()["events"][0]["sequence"], sequence);
}

/// What the fixture holds has no owner: with API keys, admins reach it, agents do not.
async fn assert_records_have_no_owner(client: &Client) {
    let first = client.get("/v1/events?limit=1").await.data()["events"][0].clone();
    let admin = client.make_key(json!({"kind": "admin"})).await.client;
    let agent = admin.make_key(json!({"kind": "agent", "actors": ["Nova"]})).await.client;
    let mut named = vec![format!("/v1/traces/{}", first["correlationId"].as_str().expect("an id"))];
    for (path, member) in [
        ("/v1/subscriptions", "subscriptions"),
        ("/v1/reactions/subscriptions", "subscriptions"),
        ("/v1/subscriptions/deliveries", "deliveries"),
        ("/v1/subscriptions/dlq", "dlq"),
    ] {
        let listed = |answer: Answer| answer.data()[member].as_array().cloned().expect("a list");
        let stored = listed(admin.get(path).await);
        assert!(
            stored.iter().all(|record| record.get("owner").is_none()) && !stored.is_empty(),
            "{stored:?}"
        );
        assert!(listed(agent.get(path).await).is_empty(), "{path}");
        let id = stored[0]["id"].as_str().expect("an id");
        named.extend((member == "subscriptions").then(|| format!("{path}/{id}")));
    }
    for path in named {
        assert_eq!((admin.get(&path).await.status, agent.get(&path).await.status), (200, 404), "{path}");
    }
}

/// Nobody joins under a name that looks like that of an actor who was there before.
pub(crate) async fn assert_names_are_taken(client: &Client) {
    let entered = client.act("/v1/commands/enter", json!({ "actorId": "N\u{43e}va" })).await;
    assert_eq!(entered.error(400, "ERR_VALIDATION")["looksLike"], "Nova");
}

/// As if the rule of the fixture had been triggered. `json` is the type of the column.
fn trigger_the_rule(table: &str, json: &str) -> String {
    let (before, after) = (r#""triggerCount":0,"errorCount":0,"#, r#""triggerCount":3,"errorCount":1,"#);
    let replaced = format!("replace(CAST(json AS text), '{before}', '{after}')");
    format!("UPDATE {table} SET json = CAST({replaced} AS {json})")
}

/// Rules keep what earlier versions stored with them.
async fn assert_rules_keep_their_progress(client: &Client) {
    let listed = client.get("/v1/reactions/subscriptions").await;
    let rule = &listed.data()["subscriptions"][0];
    assert_eq!((&rule["triggerCount"], &rule["errorCount"]), (&json!(3), &json!(1)), "{rule}");
    assert_eq!((&rule["lastError"], &rule["cooldownMs"]), (&json!(null), &json!(1_000)), "{rule}");
}

async fn assert_opens(launch: Launch, store: &str) {
    let server = launch.start().await;
    let client = server.client();
    assert_keys_replay(&client, store).await;
    assert_log_continues(&client, store).await;
    assert_names_are_taken(&client).await;
    assert_rules_keep_their_progress(&client).await;
    assert_records_have_no_owner(&client).await;
}

#[tokio::test]
async fn store_of_an_earlier_version_opens() {
    let directory = TempDir::new().unwrap();
    let database = directory.path().join("agentcafe.db");
    fs::copy(fixture("agentcafe.db"), &database).unwrap();
    Connection::open(&database)
        .unwrap()
        .execute(&trigger_the_rule("reaction_subscriptions", "blob"), [])
        .unwrap();
    assert_opens(launch().data_dir(directory.path()).env("DATABASE_URL", ""), "sqlite").await;
}

#[tokio::test]
async fn postgres_database_of_an_earlier_version_opens() {
    let url = Postgres::shared().database();
    let output = Command::new("psql")
        .args(["--quiet", "--set=ON_ERROR_STOP=1", "--file"])
        .arg(fixture("postgres.sql"))
        .args(["--command", &trigger_the_rule("public.reaction_subscriptions", "text")])
        .arg(&url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_opens(launch().data_dir("/nowhere").env("DATABASE_URL", url), "postgres").await;
}
