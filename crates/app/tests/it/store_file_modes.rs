//! Files that hold conversations and secrets can be read by their owner only, whatever the umask.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use agentcafe_testkit::json;
use tempfile::TempDir;

use crate::launch_script::launch_after;

/// The modes of a data directory and of its files.
fn modes(directory: &Path) -> BTreeMap<String, u32> {
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let files = files.map(|file| (file.file_name().to_string_lossy().into_owned(), mode(&file.path())));
    files.chain([(".".to_owned(), mode(directory))]).collect()
}

/// Kind: what is written is as private as the most secret thing in it. Other files: exports (`export.rs`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_files_are_readable_by_their_owner_only() {
    let parent = TempDir::new().expect("a temporary directory");
    let data = parent.path().join("data");
    let (_script, launch) = launch_after("umask 000");
    let mut server = launch.data_dir(&data).start().await;
    let said = server.client().act("/v1/commands/say", json!({ "actorId": "Nova", "text": "secret" })).await;
    assert_eq!(said.status, 202);
    let private = [
        (".", 0o700),
        ("agentcafe.db", 0o600),
        ("agentcafe.db-shm", 0o600),
        ("agentcafe.db-wal", 0o600),
        ("agentcafe.lock", 0o600),
    ];
    let private: BTreeMap<_, _> = private.map(|(name, mode)| (name.to_owned(), mode)).into();
    assert_eq!(modes(&data), private);
    assert!(!server.log().contains("only the owner may read this"));

    // As an earlier version left them.
    server.kill();
    for (name, mode) in &private {
        fs::set_permissions(data.join(name), Permissions::from_mode(mode | 0o055)).expect("they are ours");
    }
    server.restart().await;
    assert_eq!(modes(&data), private);
    assert_eq!(server.log().matches("only the owner may read this").count(), private.len());
    server.restart().await;
    assert!(!server.log().contains("only the owner may read this"));
}
