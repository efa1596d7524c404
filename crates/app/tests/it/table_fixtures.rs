//! Private tables for tests: opening one, and timestamps relative to now.

use std::time::Duration;

use agentcafe_testkit::{Answer, Client, Value, json};
use jiff::{SignedDuration, Timestamp};

use crate::merged;

/// Deadline of a condition.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Distance of a future time that a test waits for, in milliseconds: its preparation may take this long.
pub(crate) const LATER_MS: i64 = 5_000;

/// A string in a response.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// The server's time, plus this many milliseconds.
pub(crate) async fn from_now(client: &Client, ms: i64) -> String {
    let health = client.get("/healthz").await.json;
    (timestamp(text(&health["time"])) + SignedDuration::from_millis(ms)).to_string()
}

/// Whether this time has passed on the server.
pub(crate) async fn has_passed(client: &Client, at: &str) -> bool {
    timestamp(&from_now(client, 0).await) >= timestamp(at)
}

/// Buys a plan for the room `den`, as Nova, paying with the proof.
pub(crate) async fn try_open(client: &Client, plan: &str, fields: Value) -> Answer {
    let body = merged(
        json!({"actorId": "Nova", "planId": plan, "roomId": "den", "paymentProof": "coffee_paid"}),
        &fields,
    );
    client.act("/v1/table-sessions", body).await
}

/// Buys a session, which must succeed.
pub(crate) async fn open(client: &Client, plan: &str, fields: Value) -> Value {
    let answer = try_open(client, plan, fields).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["session"].clone()
}

/// Sends a command of an actor in the room `den`.
pub(crate) async fn act(client: &Client, actor: &str, path: &str, fields: Value) -> Answer {
    let body = merged(json!({"actorId": actor, "roomId": "den"}), &fields);
    client.act(path, body).await
}
