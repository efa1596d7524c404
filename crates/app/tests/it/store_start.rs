//! A server that cannot start, or must not, names the cause, exits with a failure, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use agentcafe_testkit::{FailedStart, Launch, Server, json};
use tempfile::TempDir;

use crate::background_load::all_events;
use crate::launch;

/// Every file in a directory except the lock, with its bytes.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries =
        fs::read_dir(directory).expect("the directory is there").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().extension().is_none_or(|extension| extension != "lock"));
    files
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

/// Starts a server that must not start, and checks that its error contains these words.
pub(crate) async fn fails(launch: Launch, words: &[&str]) -> FailedStart {
    let Err(failed) = launch.try_start().await else { panic!("it started; expected {words:?}") };
    let status = failed.status.unwrap_or_else(|| panic!("it neither starts nor exits: {}", failed.log));
    assert!(!status.success() && status.code().is_some(), "{status:?}: {}", failed.log);
    assert!(!failed.log.contains("panicked"), "{}", failed.log);
    let last = failed.log.lines().last().unwrap_or_default();
    assert!(words.iter().all(|word| last.contains(word)), "expected {words:?} in: {last}");
    failed
}

/// A directory with a store, after a server was stopped or killed.
async fn used(kill: bool) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let mut server = launch().data_dir(directory.path()).start().await;
    for number in 0..100 {
        let body = json!({ "actorId": "Nova", "text": format!("{number}") });
        assert_eq!(server.client().act("/v1/commands/say", body).await.status, 202);
    }
    if kill {
        server.kill();
    } else {
        assert!(server.stop().await.success());
    }
    directory
}

/// The error names the directory; the first process is not affected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_directory_in_use_is_refused() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().display().to_string();
    let mut first = launch().data_dir(directory.path()).start().await;
    for number in 1..4 {
        fails(
            launch().data_dir(directory.path()),
            &[&path, "in use by another process", "AGENTCAFE_DATA_DIR"],
        )
        .await;
        let said =
            first.client().act("/v1/commands/order", json!({ "actorId": "Nova", "itemId": "tea" })).await;
        assert_eq!(said.status, 202, "after {number} attempts: {}", said.text);
    }
    first.kill();
    let second: Server = launch().data_dir(directory.path()).start().await;
    assert!(all_events(&second.client()).await.len() >= 6, "the lock of a killed process is free");
}

/// Damaged after a stop and after a kill. The error names the file; no byte changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_store_is_left_unchanged() {
    type Damage = fn(&Path);
    let damages: [(bool, Damage); 5] = [
        (false, |file| fs::write(file, "{\"events\":[]}").expect("written")),
        (false, |file| {
            let bytes = fs::read(file).expect("read");
            fs::write(file, &bytes[..bytes.len() / 2]).expect("written");
        }),
        (false, |file| {
            let mut bytes = fs::read(file).expect("read");
            bytes[8_192..].fill(0x5a);
            fs::write(file, bytes).expect("written");
        }),
        (true, |file| fs::write(file, "").expect("written")),
        (true, |file| fs::remove_file(file).expect("removed")),
    ];
    for (kill, damage) in damages {
        let directory = used(kill).await;
        damage(&directory.path().join("agentcafe.db"));
        let before = content(directory.path());
        let file = directory.path().join("agentcafe.db").display().to_string();
        let failed = fails(launch().data_dir(directory.path()), &[&file, "left untouched", "backup"]).await;
        assert!(content(directory.path()) == before, "a file was changed: {}", failed.log);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_directory_or_port_that_cannot_be_used_is_named() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "mine").expect("written");
    fails(launch().data_dir(&file), &[&file.display().to_string()]).await;
    assert_eq!(fs::read_to_string(&file).expect("read"), "mine");
    let first = launch().start().await;
    let port = first.address().port().to_string();
    fails(launch().env("API_PORT", &port), &[&port, "API_PORT"]).await;
}

/// Before anything is created.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_settings_are_named_with_their_value() {
    let cases = [
        ("API_PORT", "http"),
        ("API_PORT", "70000"),
        ("API_HOST", "everywhere"),
        ("API_RATE_LIMIT_PER_MIN", "many"),
        ("API_RATE_LIMIT_PER_MIN", "-1"),
        ("API_STREAM_MAX_CLIENTS", "1e3"),
        ("API_STREAM_HEARTBEAT_MS", "15s"),
        ("API_MAX_CHAT_MESSAGE_CHARS", "120.5"),
        ("API_IDEMPOTENCY_TTL_MS", "NaN"),
        ("PRESENCE_DEFAULT_TTL_MS", "0x10"),
        ("PRESENCE_SWEEP_MS", "99999999999999999999"),
        ("MOD_WINDOW_MS", "1 000"),
        ("MOD_COOLDOWN_MS", "2000ms"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
        ("AGENTCAFE_LOG", "info=loud=est"),
    ];
    for (name, value) in cases {
        let directory = TempDir::new().expect("a temporary directory");
        let data = directory.path().join("data");
        let named = value.rsplit(", ").next().unwrap_or(value);
        fails(launch().data_dir(&data).env(name, value), &[name, named]).await;
        assert!(!data.exists(), "{name}={value}: a store was created");
    }
}
