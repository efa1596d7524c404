//! Private tables for tests: opening one, and timestamps relative to now.

use std::time::Duration;

use agentcafe_testkit::{Answer, Client, Value, json};
use jiff::{SignedDuration, Timestamp};

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// How far off a moment is that a test waits for, in milliseconds: what it does before that may take so long.
pub(crate) const LATER_MS: i64 = 5_000;

/// A text in an answer.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// The server's clock, so many milliseconds from now.
pub(crate) async fn from_now(client: &Client, ms: i64) -> String {
    let health = client.get("/healthz").await.json;
    (moment(text(&health["time"])) + SignedDuration::from_millis(ms)).to_string()
}

/// Whether a moment of the server has passed.
pub(crate) async fn has_passed(client: &Client, at: &str) -> bool {
    moment(&from_now(client, 0).await) >= moment(at)
}

/// Buys a plan for the room `den`, as Nova, paying with the proof.
pub(crate) async fn try_open(client: &Client, plan: &str, fields: Value) -> Answer {
    let mut body = json!({"actorId": "Nova", "planId": plan, "roomId": "den", "paymentProof": "coffee_paid"});
    for (name, value) in fields.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    client.act("/v1/table-sessions", body).await
}

/// The session that is bought.
pub(crate) async fn open(client: &Client, plan: &str, fields: Value) -> Value {
    let answer = try_open(client, plan, fields).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["session"].clone()
}

/// An actor does something in the room `den`.
pub(crate) async fn act(client: &Client, actor: &str, path: &str, fields: Value) -> Answer {
    let mut body = json!({"actorId": actor, "roomId": "den"});
    for (name, value) in fields.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    client.act(path, body).await
}
