//! Files that hold conversations and secrets can be read by their owner only, whatever the umask.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use agentcafe_testkit::{eventually, json};
use tempfile::TempDir;

use crate::launch_script::launch_after;

const DEADLINE: Duration = Duration::from_secs(10);

/// The modes of a data directory and of its files.
fn modes(directory: &Path) -> BTreeMap<String, u32> {
    // A file may be renamed meanwhile.
    let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode() & 0o777).ok();
    let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let files = files.map(|file| (file.file_name().to_string_lossy().into_owned(), mode(&file.path())));
    let all = files.chain([(".".to_owned(), mode(directory))]);
    all.filter_map(|(name, mode)| Some((name, mode?))).collect()
}

/// Kind: what is written is as private as the most secret thing in it. Other files: exports (`export/files.rs`).
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
        ("agentcafe-search.db", 0o600),
        ("agentcafe-search.db-shm", 0o600),
        ("agentcafe-search.db-wal", 0o600),
        ("agentcafe.db", 0o600),
        ("agentcafe.db-shm", 0o600),
        ("agentcafe.db-wal", 0o600),
        ("agentcafe.key", 0o600),
        ("agentcafe.lock", 0o600),
        ("agentcafe.mark", 0o600),
    ];
    let private: BTreeMap<_, _> = private.map(|(name, mode)| (name.to_owned(), mode)).into();
    // The high-water mark is written after the start.
    let is_private = async || (modes(&data) == private).then_some(());
    eventually("only the owner may read the files", DEADLINE, is_private).await;
    assert!(!server.log().contains("only the owner may read this"));

    // As an earlier version left them.
    server.kill();
    for (name, mode) in &private {
        fs::set_permissions(data.join(name), Permissions::from_mode(mode | 0o055)).expect("they are ours");
    }
    server.restart().await;
    eventually("only the owner may read the files", DEADLINE, is_private).await;
    assert_eq!(server.log().matches("only the owner may read this").count(), private.len());
    server.restart().await;
    assert!(!server.log().contains("only the owner may read this"));
}
