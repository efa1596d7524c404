//! `agentcafe keys`: keys are created, listed, rotated and revoked in a store, and at a running server.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use agentcafe_testkit::{Client, Server, Value, eventually, json, store_under_test};
use tempfile::TempDir;

use crate::export::{agentcafe, stderr};
use crate::launch;

/// Runs it on the store of servers with this data directory.
fn on_store(directory: &Path, arguments: &[&str]) -> Output {
    agentcafe("keys", directory, arguments).output().expect("the binary runs")
}

/// Runs it on a server, with this key.
fn on_server(server: &Server, key: &str, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_agentcafe"));
    command.env_clear().env("AGENTCAFE_TOKEN", key).args(["keys", "--url", &server.url()]).args(arguments);
    command.output().expect("the binary runs")
}

/// Its output, which must be a success.
#[track_caller]
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("the output is text")
}

/// The one key that it printed.
#[track_caller]
fn key(output: &Output) -> String {
    let text = stdout(output);
    let key = text.strip_suffix('\n').unwrap();
    assert!(key.len() == 68 && key.starts_with("cafe_") && !key.contains(char::is_whitespace), "{text:?}");
    assert!(!stderr(output).contains(key));
    key.to_owned()
}

const WAIT: Duration = Duration::from_secs(10);

fn id(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

fn with_key(server: &Server, key: &str) -> Client {
    server.client().with_header("x-api-key", key)
}

async fn status(server: &Server, key: &str) -> u16 {
    with_key(server, key).get("/v1/presence").await.status
}

/// The first key is made before the first start, by whoever may use the store's files.
#[tokio::test]
async fn keys_command_creates_the_first_key_in_the_store() {
    let directory = TempDir::new().unwrap();
    let missing = on_store(&directory.path().join("none"), &["list"]);
    if store_under_test() == "sqlite" {
        assert!(!missing.status.success() && stderr(&missing).contains("there is no store in"));
    }
    let add = ["add", "--kind", "agent", "--tenant", "acme", "--actor", "Nova", "--name", "Nova's key"];
    let nova = key(&on_store(directory.path(), &add));
    let add = ["add", "--kind", "guest", "--actor-prefix", "team/", "--room", "main", "--room", "lobby/"];
    let guest = key(&on_store(directory.path(), &add));
    let table = stdout(&on_store(directory.path(), &["list"]));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with("STATE"), "{table}");
    let cells: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(cells, [id(&guest), "-", "guest", "default", "team/", "main,lobby/", "-", "-", "active"]);
    for cell in [id(&nova), "Nova's key", "agent", "acme", "Nova ", "active"] {
        assert!(lines[2].contains(cell), "{cell}: {table}");
    }
    assert!(!table.contains(&nova[20..]), "no secret is listed: {table}");
    let listed = stdout(&on_store(directory.path(), &["--json", "list", "--tenant", "acme"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed[0]["keyId"], &listed[0]["createdBy"]), (&json!(id(&nova)), &json!("cli")));

    let server = launch().data_dir(directory.path()).start().await;
    assert_eq!(server.client().get("/v1/bootstrap").await.status, 401, "there are keys");
    let bootstrap = with_key(&server, &nova).get("/v1/bootstrap").await;
    assert_eq!(bootstrap.data()["discovery"]["rooms"][0]["tenantId"], "acme", "{}", bootstrap.text);
    if store_under_test() == "sqlite" {
        let busy = on_store(directory.path(), &["list"]);
        assert!(!busy.status.success() && stderr(&busy).contains("--url"), "{}", stderr(&busy));
    } else {
        // A server learns at once what was changed beside it.
        let _ = stdout(&on_store(directory.path(), &["revoke", id(&nova)]));
        eventually("the key is refused", WAIT, async || (status(&server, &nova).await == 401).then_some(()))
            .await;
    }
}

/// A new secret is printed alone, and the one before is accepted for the given time; a revoked key is refused.
#[tokio::test]
async fn keys_command_changes_keys_of_a_running_server() {
    let directory = TempDir::new().unwrap();
    let admin = key(&on_store(directory.path(), &["add", "--kind", "admin", "--tenant", "acme"]));
    let server = launch().data_dir(directory.path()).start().await;
    let run = |arguments: &[&str]| on_server(&server, &admin, arguments);
    let nova =
        key(&run(&["add", "--scope", "act", "--scope", "listen", "--scope", "work", "--actor", "Nova"]));
    assert_eq!(status(&server, &nova).await, 200);
    let next = key(&run(&["rotate", id(&nova), "--grace", "3600"]));
    assert!(next != nova && id(&next) == id(&nova));
    assert_eq!((status(&server, &nova).await, status(&server, &next).await), (200, 200));
    assert!(stdout(&run(&["list"])).contains("act,listen,work"));
    assert!(stdout(&run(&["list"])).contains("rotating"));
    assert_eq!(key(&run(&["rotate", id(&nova), "--grace", "0"])).len(), 68);
    assert_eq!(stdout(&run(&["revoke", id(&nova)])), "");
    eventually("the key is refused", WAIT, async || (status(&server, &next).await == 401).then_some(()))
        .await;
    assert!(stdout(&run(&["list"])).contains("revoked"));

    for (arguments, problem) in [
        (&["add", "--kind", "agent"][..], "actors"),
        (&["add", "--kind", "agent", "--tenant", "other", "--actor", "Nova"], "refuses"),
        (&["revoke", "nobody"], "refuses"),
    ] {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(refused.stdout.is_empty() && stderr(&refused).contains(problem), "{}", stderr(&refused));
    }
    let unknown = on_server(&server, "wrong", &["list"]);
    assert!(stderr(&unknown).contains("does not accept"), "{}", stderr(&unknown));
    assert_eq!(run(&["add", "--actor", "Nova"]).status.code(), Some(2), "neither a kind nor scopes");
}
