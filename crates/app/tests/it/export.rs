//! `agentcafe export` and `agentcafe import`: a café moves, whole or in parts, without lost, repeated or mixed up
//! data.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use agentcafe_testkit::{Client, Launch, Postgres, Server, Value, json, store_under_test};
use tempfile::TempDir;

use crate::background_load::all_events;
use crate::earlier_version::assert_names_are_taken;
use crate::seeded_random::SeededRandom;
use crate::{cafe, launch};

mod broken;
mod files;
mod forged;
mod parts;
mod running;

/// The command of a subcommand, with an empty environment.
fn binary(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcafe"));
    command.env_clear().arg(subcommand);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The command of a subcommand on the embedded database in a directory.
pub(crate) fn embedded_command(subcommand: &str, directory: &Path) -> Command {
    let mut command = binary(subcommand);
    command.arg("--data-dir").arg(directory);
    command
}

/// The command of a subcommand on a PostgreSQL database.
pub(crate) fn on_postgres(subcommand: &str, url: &str) -> Command {
    let mut command = binary(subcommand);
    command.env("DATABASE_URL", url);
    command
}

/// The command of a subcommand on the store of servers with this data directory.
pub(crate) fn agentcafe(subcommand: &str, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = match store_under_test() {
        "sqlite" => embedded_command(subcommand, directory),
        _ => on_postgres(subcommand, &Postgres::shared().database_for(directory)),
    };
    command.args(arguments);
    command
}

/// The export of a store.
pub(crate) fn export(directory: &Path, arguments: &[&str]) -> String {
    let output = agentcafe("export", directory, arguments).output().expect("the binary runs");
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).expect("an export is text")
}

fn start_import(directory: &Path) -> Child {
    agentcafe("import", directory, &[]).stdin(Stdio::piped()).spawn().expect("the binary runs")
}

/// Imports a text into the store of servers with this data directory.
fn import(directory: &Path, text: &str) -> Output {
    wait_with_stdin(start_import(directory), text)
}

/// Writes a text to a process's standard input, and waits for its end.
pub(crate) fn wait_with_stdin(mut child: Child, text: &str) -> Output {
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = text.to_owned();
    // A refused import stops reading.
    let writing = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("the task does not panic");
    output
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Imports into a new directory.
pub(crate) fn import_to_new_directory(text: &str) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let output = import(directory.path(), text);
    assert!(output.status.success() && stderr(&output).contains("imported"), "{}", stderr(&output));
    directory
}

/// The lines of an export as JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// An export without `exportedAt`.
pub(crate) fn without_exported_at(text: &str) -> String {
    let (first, rest) = text.split_once('\n').expect("a first line");
    let mut header: Value = serde_json::from_str(first).expect("a header");
    header["exportedAt"].take();
    format!("{header}\n{rest}")
}

/// Sends a random command of an agent. Many succeed, some are refused.
pub(crate) async fn act(client: &Client, random: &mut SeededRandom) {
    let tenant = ["default", "acme", "a:b"][random.below(3) as usize];
    let room = ["main", "lounge", "b:c", "küche"][random.below(4) as usize];
    let actor = ["Nova", "Kai", "Bo"][random.below(3) as usize];
    let (path, mut body) = match random.below(9) {
        0 => ("/v1/commands/enter", json!({ "payload": { "metadata": { "z": 1, "a": [1.5, "ü"] } } })),
        1 => ("/v1/commands/leave", json!({})),
        2 => ("/v1/commands/move", json!({ "direction": "E", "steps": random.below(6) })),
        3 => ("/v1/commands/order", json!({ "itemId": "tea", "size": "large" })),
        4 => ("/v1/presence/heartbeat", json!({ "status": "busy", "ttlMs": 600_000 })),
        5 => ("/v1/intents/execute", json!({ "intent": "navigate_to", "payload": { "x": 3, "y": 4 } })),
        6 => ("/v1/inbox/ack", json!({ "upToCursor": random.below(40) })),
        _ => {
            let text = format!("\u{2028}{} for @Kai and @Nova \"\\", random.below(1_000));
            ("/v1/commands/say", json!({ "text": text, "metadata": { "deep": { "b": null } } }))
        }
    };
    body["tenantId"] = json!(tenant);
    body["roomId"] = json!(room);
    body["actorId"] = json!(actor);
    let answer = client.act(path, body).await;
    assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text);
}

/// A café with random data.
pub(crate) async fn cafe_with_random_data(seed: u64) -> (Server, Client) {
    let (server, client) = cafe().await;
    let mut random = SeededRandom::new(seed);
    for _ in 0..120 {
        act(&client, &mut random).await;
    }
    (server, client)
}

/// A server on the data of another directory.
fn launch_on(directory: &TempDir) -> Launch {
    launch().data_dir(directory.path())
}

/// Export, import and export again: only the time of the export differs. So does a third generation, and importing
/// changes nothing in the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_of_an_import_is_byte_identical() {
    for seed in 1..6 {
        let (mut server, _client) = cafe_with_random_data(seed).await;
        let text = export(server.data_dir(), &[]);
        server.kill();
        let killed = export(server.data_dir(), &[]);
        let copy = import_to_new_directory(&text);
        let again = export(copy.path(), &[]);
        assert!(without_exported_at(&again) == without_exported_at(&text), "seed {seed}:\n{text}\n{again}");
        assert!(
            without_exported_at(&killed) == without_exported_at(&text),
            "seed {seed}: killed during the import"
        );
        for directory in [server.data_dir(), copy.path()] {
            let verified = agentcafe("verify", directory, &[]).output().expect("the binary runs");
            assert!(verified.status.success() && verified.stdout.is_empty(), "{verified:?}");
        }
        assert!(
            without_exported_at(&export(import_to_new_directory(&again).path(), &[]))
                == without_exported_at(&text),
            "seed {seed}: third generation"
        );
        let output = import(copy.path(), &text);
        assert!(
            output.status.success() && stderr(&output).contains("nothing was changed"),
            "{}",
            stderr(&output)
        );
        assert!(
            without_exported_at(&export(copy.path(), &[])) == without_exported_at(&text),
            "seed {seed}: imported twice"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_keeps_sequences_cursors_inboxes_and_keys() {
    let (server, client) = cafe().await;
    let say = json!({ "actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"] });
    let first = client.post("/v1/commands/say", "the-key", say.clone()).await;
    let _ = client
        .act("/v1/commands/say", json!({ "actorId": "Bo", "text": "hey @Kai", "mentions": ["Kai"] }))
        .await
        .data();
    let mut stream = client.stream("/v1/events/stream?cursor=0").await;
    let received = stream.next_event().await.id.expect("an id");
    let (events, inbox) = (all_events(&client).await, client.get("/v1/inbox?actorId=Kai").await);
    let text = export(server.data_dir(), &[]);
    let copy = import_to_new_directory(&text);
    drop(server);
    let mut server = launch_on(&copy).start().await;
    let client = server.client();
    assert_eq!(all_events(&client).await, events);
    assert_eq!(client.get("/v1/inbox?actorId=Kai").await.data()["items"], inbox.data()["items"]);
    let replayed = client.post("/v1/commands/say", "the-key", say).await;
    assert_eq!((replayed.text, replayed.status), (first.text, first.status));
    assert_eq!(replayed.headers["x-idempotent-replay"], "true");
    let other = json!({ "actorId": "Nova", "text": "something else" });
    let _ =
        client.post("/v1/commands/say", "the-key", other).await.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
    let mut stream = client.stream(&format!("/v1/events/stream?cursor={received}")).await;
    for event in events.iter().filter(|event| event["sequence"].as_u64() > Some(received)) {
        assert_eq!(stream.next_event().await.data, *event);
    }
    assert_names_are_taken(&client).await;
    let next = client
        .act("/v1/commands/say", json!({ "actorId": "Bo", "text": "hey again @Kai", "mentions": ["Kai"] }))
        .await;
    assert_eq!(next.data()["sequence"], json!(events.len() + 1));
    assert_eq!(stream.next_event().await.id, Some(events.len() as u64 + 1));
    let items = client.get("/v1/inbox?actorId=Kai").await.data()["items"].clone();
    let mut inbox_sequences: Vec<_> =
        items.as_array().unwrap().iter().map(|item| item["inboxSeq"].as_u64().unwrap()).collect();
    inbox_sequences.sort_unstable();
    assert_eq!(inbox_sequences, [1, 2, 3]);
    let output = import(copy.path(), &text);
    assert!(!output.status.success() && stderr(&output).contains("in use"), "{}", stderr(&output));
    drop(stream);
    assert!(server.stop().await.success());
    let output = import(copy.path(), &text);
    assert!(
        output.status.success() && stderr(&output).contains("nothing was changed"),
        "{}",
        stderr(&output)
    );
    let gone_on = export(copy.path(), &[]);
    assert!(gone_on.contains("hey again"), "events after the import are kept");
}

/// The first line has the format and the last sequence, the last line the counts. Secrets and traces are left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_has_header_and_footer_and_no_secrets() {
    let (server, client) = cafe().await;
    let _ = client
        .act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"] }))
        .await
        .data();
    let file = server.data_dir().join("copy.jsonl");
    let output =
        agentcafe("export", server.data_dir(), &["--output", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{}", stderr(&output));
    assert!(stderr(&output).contains("exported 3 events"), "{}", stderr(&output));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        without_exported_at(&text) == without_exported_at(&export(server.data_dir(), &[])),
        "the same on standard output"
    );
    let lines = lines(&text);
    let header = &lines[0];
    assert_eq!((&header["format"], &header["version"]), (&json!("agentcafe-export"), &json!(1)));
    assert_eq!((&header["tenant"], &header["room"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&header["head"], &header["inboxHead"], &header["auditHead"]),
        (&json!(3), &json!(1), &json!(0))
    );
    let count = |name: &str| lines.iter().filter(|line| line.get(name).is_some()).count();
    let end = &lines[lines.len() - 1]["end"];
    assert_eq!(end["events"], json!(count("event")));
    assert_eq!((&end["records"], &end["keys"]), (&json!(count("record")), &json!(count("key"))));
    assert_eq!((count("event"), count("key")), (3, 1));
    let tables: Vec<_> = lines.iter().filter_map(|line| line["record"]["table"].as_str()).collect();
    assert!(tables.contains(&"inbox_items") && !tables.contains(&"payments"), "{tables:?}");
    assert!(!file.with_extension("jsonl.partial").exists());
}

/// Sequences go on, but the log is no longer the one that clients know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_and_new_epoch_change_the_log_id() {
    let log_id = async |directory: &Path| {
        let mut server = launch().data_dir(directory).start().await;
        let log_id = server.client().get("/v1/bootstrap").await.data()["logId"].clone();
        assert!(server.stop().await.success());
        log_id
    };
    let directory = TempDir::new().expect("a temporary directory");
    let first = log_id(directory.path()).await;
    let output = import(directory.path(), &export(directory.path(), &[]));
    assert!(output.status.success(), "{}", stderr(&output));
    let imported = log_id(directory.path()).await;
    let output = agentcafe("new-epoch", directory.path(), &[]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let newest = log_id(directory.path()).await;
    assert!(stderr(&output).contains(newest.as_str().unwrap()), "{}", stderr(&output));
    assert!(first != imported && imported != newest && first != newest, "{first} {imported} {newest}");
    assert_eq!(log_id(directory.path()).await, newest);
    let _server = launch().data_dir(directory.path()).start().await;
    let output = agentcafe("new-epoch", directory.path(), &[]).output().expect("the binary runs");
    assert!(!output.status.success(), "a server uses the store");
}
