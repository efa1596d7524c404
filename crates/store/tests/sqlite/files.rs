//! The files of an embedded store, as the tests see them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use agentcafe_store::OpenError;

use crate::commands::{actor, append_texts};
use crate::test_store::TestStore;

/// The database file.
pub(crate) fn database(test_store: &TestStore) -> PathBuf {
    test_store.directory.path().join("agentcafe.db")
}

/// Its write-ahead log.
pub(crate) fn wal_file(test_store: &TestStore) -> PathBuf {
    test_store.directory.path().join("agentcafe.db-wal")
}

/// A closed store with `count` events.
pub(crate) async fn closed_store_with(count: usize) -> TestStore {
    let test_store = TestStore::new();
    let opened = test_store.open();
    for number in 0..count {
        opened.store.submit(append_texts(&actor("main", "Nova"), &[&number.to_string()])).await.unwrap();
    }
    opened.close();
    test_store
}

/// The files of a store that was killed after `count` events of `bytes` bytes: copied away while it runs.
pub(crate) async fn files_after_kill(count: usize, bytes: usize) -> TestStore {
    let (running, files_after_kill) = (TestStore::new(), TestStore::new());
    let opened = running.open();
    for number in 0..count {
        let text = format!("{number}{}", "x".repeat(bytes));
        opened.store.submit(append_texts(&actor("main", "Nova"), &[&text])).await.unwrap();
    }
    fs::copy(database(&running), database(&files_after_kill)).unwrap();
    fs::copy(wal_file(&running), wal_file(&files_after_kill)).unwrap();
    opened.close();
    files_after_kill
}

/// Every file with data in a directory, byte for byte: not the lock, the index of the write-ahead log, which is rebuilt
/// from it, and the high-water mark, which a running store writes.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let passing = |path: &PathBuf| {
        let name = path.to_string_lossy();
        [".lock", "-shm", ".mark", ".mark.new"].iter().any(|end| name.ends_with(end))
    };
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && !passing(path));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The error of a store that cannot be opened, after checking that it names the directory and that no byte of any file has
/// changed.
pub(crate) fn open_refused(test_store: &TestStore) -> OpenError {
    let before = content(test_store.directory.path());
    let Err(error) = agentcafe_store::Store::open(test_store.options()) else { panic!("it was opened") };
    let after = content(test_store.directory.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{error}");
    assert!(before == after, "a file was changed: {error}");
    let directory = test_store.directory.path().display().to_string();
    assert!(error.to_string().contains(&directory), "the message does not say which store: {error}");
    error
}
