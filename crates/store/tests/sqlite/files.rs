//! The files of an embedded store, looked at from outside.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use agentcafe_store::OpenError;

use crate::{
    commands::{actor, says},
    place::StoreLocation,
};

/// The database's file.
pub(crate) fn database(place: &StoreLocation) -> PathBuf {
    place.directory.path().join("agentcafe.db")
}

/// Its write-ahead log.
pub(crate) fn wal(place: &StoreLocation) -> PathBuf {
    place.directory.path().join("agentcafe.db-wal")
}

/// A place whose store holds `count` events, and is closed.
pub(crate) async fn written(count: usize) -> StoreLocation {
    let place = StoreLocation::new();
    let opened = place.open();
    for number in 0..count {
        opened.store.submit(says(&actor("main", "Nova"), &[&number.to_string()])).await.unwrap();
    }
    opened.close();
    place
}

/// The files of a store that was killed after `count` events of `bytes` bytes: copied away while it runs.
pub(crate) async fn killed(count: usize, bytes: usize) -> StoreLocation {
    let (running, killed) = (StoreLocation::new(), StoreLocation::new());
    let opened = running.open();
    for number in 0..count {
        let text = format!("{number}{}", "x".repeat(bytes));
        opened.store.submit(says(&actor("main", "Nova"), &[&text])).await.unwrap();
    }
    fs::copy(database(&running), database(&killed)).unwrap();
    fs::copy(wal(&running), wal(&killed)).unwrap();
    opened.close();
    killed
}

/// Every file in a directory that holds data, byte for byte: neither the lock nor the index of the write-ahead log, which
/// is made anew from it each time.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let passing = |path: &PathBuf| {
        path.to_string_lossy().ends_with(".lock") || path.to_string_lossy().ends_with("-shm")
    };
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && !passing(path));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Opens a place that cannot be opened: gives the reason, after checking that it names the place and that no byte of
/// any file has changed.
pub(crate) fn refused(place: &StoreLocation) -> OpenError {
    let before = content(place.directory.path());
    let Err(error) = agentcafe_store::Store::open(place.options()) else { panic!("it was opened") };
    let after = content(place.directory.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{error}");
    assert!(before == after, "a file was changed: {error}");
    let directory = place.directory.path().display().to_string();
    assert!(error.to_string().contains(&directory), "the message does not say which store: {error}");
    error
}
