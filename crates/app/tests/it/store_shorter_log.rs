//! A log that lost its newest events, or all of them: the start notices it, and clients learn of it.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fs::{self, OpenOptions};
use std::path::Path;

use agentcafe_testkit::{Client, Method, Server, Value, eventually, json, steady_port};
use tempfile::TempDir;

use crate::background_load::head_of_log;
use crate::realtime::{DEADLINE, launch_realtime, wait_until_caught_up};
use crate::store_start::fails;
use crate::websocket_client::Socket;
use crate::{launch, order};

const ACCEPT: &[&str] = &["--accept-shorter-log"];
const STREAM: &str = "/v1/streams/market-events";

/// Waits until the mark beside the database has the whole log.
async fn wait_for_mark(server: &Server) {
    let head = head_of_log(&server.client()).await;
    eventually("the high-water mark is written", DEADLINE, async || {
        let mark = fs::read(server.data_dir().join("agentcafe.mark")).ok()?;
        let mark: Value = serde_json::from_slice(&mark).ok()?;
        (mark["head"].as_u64() == Some(head)).then_some(())
    })
    .await;
}

async fn log_id(client: &Client) -> String {
    client.get("/v1/bootstrap").await.data()["logId"].as_str().unwrap().to_owned()
}

fn remove_wal(directory: &Path) {
    for file in ["agentcafe.db-wal", "agentcafe.db-shm"] {
        let _ = fs::remove_file(directory.join(file));
    }
}

/// A write-ahead log that is cut, deleted or has a flipped bit; a database that is emptied, gone, or an old copy. Each started
/// without a word, and gave the same sequences to other events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shorter_log_is_refused_until_it_is_accepted() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss, &str); 6] = [
        (
            "cut",
            |directory| {
                let wal = OpenOptions::new().write(true).open(directory.join("agentcafe.db-wal")).unwrap();
                wal.set_len(wal.metadata().unwrap().len() - 10_000).unwrap();
            },
            "it ends at",
        ),
        (
            "flipped",
            |directory| {
                let wal = directory.join("agentcafe.db-wal");
                let mut bytes = fs::read(&wal).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(wal, bytes).unwrap();
            },
            "it ends at",
        ),
        ("deleted", |directory| remove_wal(directory), "it ends at"),
        (
            "emptied",
            |directory| {
                remove_wal(directory);
                fs::write(directory.join("agentcafe.db"), "").unwrap();
            },
            "missing or empty",
        ),
        (
            "gone",
            |directory| {
                remove_wal(directory);
                fs::remove_file(directory.join("agentcafe.db")).unwrap();
            },
            "missing or empty",
        ),
        (
            "old copy",
            |directory| {
                remove_wal(directory);
                fs::copy(directory.join("copy"), directory.join("agentcafe.db")).unwrap();
            },
            "it ends at",
        ),
    ];
    for (name, lose, found) in losses {
        let directory = TempDir::new().unwrap();
        let mut server = launch().data_dir(directory.path()).start().await;
        order(&server.client(), "Nova", "main").await;
        assert!(server.stop().await.success());
        fs::copy(directory.path().join("agentcafe.db"), directory.path().join("copy")).unwrap();
        server = launch().data_dir(directory.path()).start().await;
        let before = log_id(&server.client()).await;
        for _ in 0..20 {
            order(&server.client(), "Nova", "main").await;
        }
        wait_for_mark(&server).await;
        server.kill();
        lose(directory.path());
        for _ in 0..2 {
            fails(launch().data_dir(directory.path()), &["up to 42", found, "--accept-shorter-log"]).await;
        }
        let mut accepted = launch().data_dir(directory.path()).options(ACCEPT).start().await;
        let after = log_id(&accepted.client()).await;
        assert_ne!(before, after, "{name}");
        order(&accepted.client(), "Nova", "main").await;
        // What was accepted is the log from now on, also after a crash.
        accepted.restart().await;
        accepted.kill();
        let again = launch().data_dir(directory.path()).start().await;
        assert_eq!(log_id(&again.client()).await, after, "{name}");
    }
}

/// The mark is never ahead of what is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_server_starts_again_with_the_same_log() {
    let mut server = launch().start().await;
    let before = log_id(&server.client()).await;
    for _ in 0..5 {
        for _ in 0..50 {
            order(&server.client(), "Nova", "main").await;
        }
        server.restart().await;
        assert_eq!(log_id(&server.client()).await, before);
    }
}

/// Clients that were at 120 skipped 41 to 120 in silence when a backup that ended at 40 was restored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_backup_reaches_every_client() {
    let (directory, port) = (TempDir::new().unwrap(), steady_port());
    let start = || launch().data_dir(directory.path()).env("API_PORT", port);
    let database = directory.path().join("agentcafe.db");
    let mut api = start().start().await;
    for _ in 0..20 {
        order(&api.client(), "Nova", "main").await;
    }
    assert!(api.stop().await.success());
    fs::copy(&database, directory.path().join("backup")).unwrap();
    api = start().start().await;
    for _ in 0..40 {
        order(&api.client(), "Nova", "main").await;
    }
    let (client, cursor) = (api.client(), head_of_log(&api.client()).await);
    let old = log_id(&client).await;
    let realtime = launch_realtime(&api).start().await;
    wait_until_caught_up(&realtime, &client).await;
    let mut live = realtime.client().stream("/v1/stream").await;
    let mut live_socket = Socket::open(realtime.address(), "/v1/ws?cursor=latest", &[]).await.unwrap();

    assert!(api.stop().await.success());
    fs::copy(directory.path().join("backup"), &database).unwrap();
    api = start().options(ACCEPT).start().await;
    // Without a logId, a cursor is known to be of another log until the log is as long again.
    let _ = client.get(&format!("/v1/events/poll?cursor={cursor}")).await.error(409, "ERR_CURSOR_AHEAD");
    let mut stream = client
        .request(Method::GET, STREAM)
        .header("last-event-id", &cursor.to_string())
        .stream()
        .await
        .unwrap();
    assert_eq!(stream.next().await.data["reason"], "cursor_ahead");
    let new = log_id(&client).await;
    assert_ne!(old, new);
    assert_eq!(live.next_of("reset").await.data["logId"], json!(new), "an open stream of realtime");
    loop {
        let frame = live_socket.try_next().await.unwrap();
        if frame.event == "reset" {
            assert_eq!(frame.data["logId"], json!(new), "an open WebSocket of realtime");
            break;
        }
    }

    // With its logId, for ever.
    for _ in 0..60 {
        order(&client, "Nova", "main").await;
    }
    assert!(head_of_log(&client).await > cursor);
    wait_until_caught_up(&realtime, &client).await;
    let query = format!("cursor={cursor}&logId={old}");
    for path in ["/v1/events", "/v1/events/poll", "/v1/timeline", "/v1/mentions"] {
        let refused = client.get(&format!("{path}?{query}")).await;
        assert_eq!(refused.error(409, "ERR_CURSOR_AHEAD")["logId"], json!(new), "{path}");
    }
    for (server, stream, socket) in [(&api, STREAM, "/v1/ws"), (&realtime, "/v1/stream", "/v1/ws")] {
        let reset = server.client().stream(&format!("{stream}?{query}")).await.next().await;
        assert_eq!((reset.event.as_str(), &reset.data["reason"]), ("reset", &json!("other_log")), "{stream}");
        let mut socket = Socket::open(server.address(), &format!("{socket}?{query}"), &[]).await.unwrap();
        assert_eq!(socket.try_next().await.unwrap().data, reset.data);
    }
}
