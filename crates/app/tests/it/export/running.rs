//! Exports while a server writes, and imports that are killed.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use agentcafe_testkit::eventually;

use super::*;
use crate::background_load::say_until_disconnected;

/// Deadline of a condition.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Checks a consistent snapshot: every event up to the head, and for each message its mention, inbox item and key.
fn assert_is_consistent(text: &str) -> usize {
    let lines = lines(text);
    let head = lines[0]["head"].as_u64().unwrap();
    let events: Vec<_> = lines.iter().filter(|line| line["event"].is_object()).collect();
    let sequences: Vec<_> = events.iter().map(|line| line["event"]["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=head).collect::<Vec<_>>());
    let of_type = |kind: &str| events.iter().filter(|line| line["event"]["type"] == kind).count();
    let items = lines.iter().filter(|line| line["record"]["table"] == "inbox_items").count();
    let keys = lines.iter().filter(|line| line["key"].is_object()).count();
    assert_eq!(of_type("mention_created"), items);
    assert_eq!(of_type("conversation_message_posted"), keys);
    assert_eq!(lines[0]["inboxHead"], json!(items));
    keys
}

/// Each of several exports can be imported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_under_load_is_a_consistent_snapshot() {
    let (mut server, _client) = cafe().await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let address = server.address();
    let speakers: Vec<_> = (0..6)
        .map(|speaker| tokio::spawn(say_until_disconnected(address, speaker, "e", Arc::clone(&acknowledged))))
        .collect();
    let mut last = 0;
    for round in 0..6 {
        let said = || acknowledged.load(std::sync::atomic::Ordering::SeqCst);
        eventually("more is said", TIMEOUT, || async { (said() > last + 20).then_some(()) }).await;
        let (before, directory) = (said(), server.data_dir().to_owned());
        let text = tokio::task::spawn_blocking(move || export(&directory, &[])).await.unwrap();
        last = assert_is_consistent(&text);
        assert!(last >= before, "round {round}: earlier acknowledged events are in it");
        let copy = import_to_new_directory(&text);
        assert!(
            without_exported_at(&export(copy.path(), &[])) == without_exported_at(&text),
            "round {round}"
        );
    }
    server.kill();
    for speaker in speakers {
        assert!(!speaker.await.unwrap().is_empty());
    }
    assert!(assert_is_consistent(&export(server.data_dir(), &[])) >= last);
}

/// The start of a long export: its first event this many times, each with its own sequence and id.
fn long_export(text: &str, count: u64) -> String {
    let (first, event) = (text.lines().next().unwrap(), text.lines().nth(1).unwrap());
    let mut header: Value = serde_json::from_str(first).unwrap();
    header["head"] = json!(count + 1);
    let id = event.split("\"eventId\":\"").nth(1).unwrap().split('"').next().unwrap();
    let numbered = |number: u64| {
        let event = event.replace("\"sequence\":1,", &format!("\"sequence\":{number},"));
        event.replace(id, &format!("01990000-0000-7000-8000-{number:012x}")) + "\n"
    };
    format!("{header}\n") + &(1..=count).map(numbered).collect::<String>()
}

/// The same import succeeds afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_that_is_killed_leaves_an_empty_store() {
    let (server, client) = cafe().await;
    let _ = client
        .act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"] }))
        .await
        .data();
    let whole = export(server.data_dir(), &[]);
    let directory = TempDir::new().unwrap();
    let mut child = start_import(directory.path());
    let mut stdin = child.stdin.take().unwrap();
    // The import has read all but the last part from the pipe: its transaction waits for the rest.
    stdin.write_all(long_export(&whole, 100_000).as_bytes()).unwrap();
    let wal = directory.path().join("agentcafe.db-wal");
    let is_under_way = || match store_under_test() {
        "sqlite" => std::fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0),
        _ => {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentcafe imports'
                       AND datname = current_database() AND backend_xid IS NOT NULL";
            Postgres::query(&Postgres::shared().database_for(directory.path()), sql).trim() == "1"
        }
    };
    eventually("it is in the database", TIMEOUT, async || is_under_way().then_some(())).await;
    let busy = import(directory.path(), &whole);
    assert!(stderr(&busy).contains("in use"), "{}", stderr(&busy));
    child.kill().unwrap();
    child.wait().unwrap();
    let left = export(directory.path(), &[]);
    assert_eq!(left.lines().count(), 2, "something is left: {left}");
    assert!(import(directory.path(), &whole).status.success());
    assert!(without_exported_at(&export(directory.path(), &[])) == without_exported_at(&whole));
    let mut server = launch_on(&directory).start().await;
    assert!(server.stop().await.success());
}
