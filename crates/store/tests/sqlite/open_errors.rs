//! A store that is damaged, of another application or version, or in use is not opened: the error says why,
//! and no byte is changed.

use std::fs;
use std::io::Write;

use agentcafe_domain::kernel::Sequence;
use agentcafe_store::{OpenError, Store, StoreLocation, StoreOptions};
use rusqlite::Connection;

use super::files::{closed_store_with, database, files_after_kill, open_refused, wal_file};
use crate::commands::{actor, append_texts};
use crate::commit_batches::all_texts;
use crate::test_store::TestStore;

#[track_caller]
fn assert_damaged(error: &OpenError, word: &str) {
    assert!(matches!(error, OpenError::Damaged(..)), "{error}");
    assert!(error.to_string().contains(word), "{error}");
    assert!(error.to_string().contains("left untouched"), "{error}");
}

/// A file that is not a database, shorter and longer than a header.
#[test]
fn open_refuses_a_file_that_is_not_a_database() {
    for text in ["x", "{\"events\": []}", &"not a database at all. ".repeat(1_000)] {
        let test_store = TestStore::new();
        fs::write(database(&test_store), text).unwrap();
        assert_damaged(&open_refused(&test_store), "not a SQLite database");
    }
}

/// An empty or missing database beside a write-ahead log with content: events would be lost.
#[tokio::test]
async fn open_refuses_an_empty_database_beside_a_wal() {
    let test_store = files_after_kill(3, 1).await;
    fs::write(database(&test_store), "").unwrap();
    assert_damaged(&open_refused(&test_store), "empty");
    fs::remove_file(database(&test_store)).unwrap();
    assert_damaged(&open_refused(&test_store), "missing");
    assert!(fs::metadata(wal_file(&test_store)).unwrap().len() > 0);
}

/// A database that was truncated within its header, within a page, and between pages.
#[tokio::test]
async fn open_refuses_a_truncated_database() {
    for keep in [10, 40, 5_000, 8_192, 16_384, 16_384 + 77] {
        let test_store = closed_store_with(50).await;
        let whole = fs::read(database(&test_store)).unwrap();
        assert!(whole.len() > keep);
        fs::write(database(&test_store), &whole[..keep]).unwrap();
        let error = open_refused(&test_store);
        assert!(matches!(error, OpenError::Damaged(..)), "{keep} bytes: {error}");
    }
}

/// A truncated database beside a write-ahead log that has newer pages, but not the missing ones.
#[tokio::test]
async fn open_refuses_a_truncated_database_whose_wal_lacks_pages() {
    let running = closed_store_with(1_000).await;
    let opened = running.open();
    opened.store.submit(append_texts(&actor("main", "Nova"), &["newest"])).await.unwrap();
    let whole = fs::read(database(&running)).unwrap();
    assert!(whole.len() > 20 * 8_192, "{} bytes", whole.len());
    let less = |pages: usize| whole.len() - pages * 8_192;
    for keep in [8_192, 5 * 8_192, 9 * 8_192 + 100, less(10), less(2), less(1)] {
        let test_store = TestStore::new();
        fs::write(database(&test_store), &whole[..keep]).unwrap();
        fs::copy(wal_file(&running), wal_file(&test_store)).unwrap();
        let error = open_refused(&test_store);
        assert!(matches!(error, OpenError::Damaged(..)), "{keep} bytes: {error}");
    }
    opened.close();
}

/// A database in which all pages but the first were overwritten, as by a failing disk or a wrong restore.
#[tokio::test]
async fn open_refuses_overwritten_pages() {
    for garbage in [0_u8, 0x41, 0xff] {
        let test_store = closed_store_with(500).await;
        let mut bytes = fs::read(database(&test_store)).unwrap();
        bytes[8_192..].fill(garbage);
        fs::write(database(&test_store), &bytes).unwrap();
        let error = open_refused(&test_store);
        assert!(matches!(error, OpenError::Damaged(..)), "filled with {garbage}: {error}");
    }
}

/// A database of another application, and one without an application id.
#[test]
fn open_refuses_a_database_of_another_application() {
    for application in ["PRAGMA application_id = 77; CREATE TABLE t (a);", "CREATE TABLE events (a);"] {
        let test_store = TestStore::new();
        Connection::open(database(&test_store)).unwrap().execute_batch(application).unwrap();
        assert_damaged(&open_refused(&test_store), "another application");
    }
}

/// A store that a newer version has migrated, and one in which a known migration has another content.
#[tokio::test]
async fn open_refuses_a_database_of_another_version() {
    let changes = [
        ("INSERT INTO schema_migrations (name, checksum) VALUES ('9999_later', 'c')", "newer version"),
        ("UPDATE schema_migrations SET checksum = 'other'", "another content"),
    ];
    for (change, word) in changes {
        let test_store = closed_store_with(3).await;
        Connection::open(database(&test_store)).unwrap().execute_batch(change).unwrap();
        let error = open_refused(&test_store);
        assert!(matches!(error, OpenError::Version(..)) && error.to_string().contains(word), "{error}");
    }
}

/// A data directory that is a file, and a database file that is a directory.
#[test]
fn open_refuses_a_path_that_is_not_a_directory() {
    let test_store = TestStore::new();
    let file = test_store.directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let Err(error) = Store::open(StoreOptions {
            location: StoreLocation::Directory(directory),
            accept_shorter_log: false,
            ..test_store.options()
        }) else {
            panic!("opened a file")
        };
        assert!(matches!(error, OpenError::Directory(..)) && error.to_string().contains("file"), "{error}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    fs::create_dir(database(&test_store)).unwrap();
    let error = open_refused(&test_store);
    assert!(matches!(error, OpenError::Damaged(..) | OpenError::Directory(..)), "{error}");
}

/// One process uses a data directory. It is not affected by another that tries to, and the next can open it
/// after it.
#[tokio::test]
async fn open_refuses_a_store_in_use() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    opened.store.submit(append_texts(&actor("main", "Nova"), &["one"])).await.unwrap();
    let error = open_refused(&test_store);
    assert!(matches!(error, OpenError::Locked(..)), "{error}");
    assert!(error.to_string().contains("AGENTCAFE_DATA_DIR"), "{error}");
    opened.store.submit(append_texts(&actor("main", "Nova"), &["two"])).await.unwrap();
    opened.close();
    let opened = test_store.open();
    assert_eq!(all_texts(&opened.store).await, ["one", "two"]);
    opened.close();
}

/// A missing directory with its parents, an empty directory, and an empty file without a write-ahead log.
#[tokio::test]
async fn open_creates_a_missing_store() {
    let test_store = TestStore::new();
    fs::File::create(database(&test_store)).unwrap().flush().unwrap();
    let opened = test_store.open();
    assert_eq!(opened.store.recent_events().head(), Sequence::START);
    opened.close();
    let directory = test_store.directory.path().join("a/b/c");
    let (store, closing) = Store::open(StoreOptions {
        location: StoreLocation::Directory(directory.clone()),
        accept_shorter_log: false,
        ..test_store.options()
    })
    .unwrap();
    drop(store);
    closing.wait();
    assert!(directory.is_dir());
}
