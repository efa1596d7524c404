//! RULINGS O2 and O9: what is damaged, foreign, newer or in use is not opened: a clear error, and no byte is changed.

use std::{fs, io::Write};

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_store::{OpenError, Options, Store, StoreLocation as Kept};
use rusqlite::Connection;

use super::files::{database, killed, refused, wal, written};
use crate::{
    batches::all_texts,
    commands::{actor, says},
    place::StoreLocation,
};

#[track_caller]
fn assert_damaged(error: &OpenError, word: &str) {
    assert!(matches!(error, OpenError::Damaged(..)), "{error}");
    assert!(error.to_string().contains(word), "{error}");
    assert!(error.to_string().contains("left untouched"), "{error}");
}

/// A file that is no database, shorter and longer than a header.
#[test]
fn something_else_is_not_opened() {
    for text in ["x", "{\"events\": []}", &"not a database at all. ".repeat(1_000)] {
        let place = StoreLocation::new();
        fs::write(database(&place), text).unwrap();
        assert_damaged(&refused(&place), "not a SQLite database");
    }
}

/// An empty database beside a write-ahead log with content: events would be lost.
#[tokio::test]
async fn an_emptied_database_is_not_taken_for_new() {
    let place = killed(3, 1).await;
    fs::write(database(&place), "").unwrap();
    assert_damaged(&refused(&place), "empty");
    fs::remove_file(database(&place)).unwrap();
    assert_damaged(&refused(&place), "missing");
    assert!(fs::metadata(wal(&place)).unwrap().len() > 0);
}

/// A database that was cut, within its header, within a page, and between pages.
#[tokio::test]
async fn a_cut_database_is_not_opened() {
    for keep in [10, 40, 5_000, 8_192, 16_384, 16_384 + 77] {
        let place = written(50).await;
        let whole = fs::read(database(&place)).unwrap();
        assert!(whole.len() > keep);
        fs::write(database(&place), &whole[..keep]).unwrap();
        let error = refused(&place);
        assert!(matches!(error, OpenError::Damaged(..)), "{keep} bytes: {error}");
    }
}

/// A cut database beside a write-ahead log that holds newer pages, but not those that are missing.
#[tokio::test]
async fn a_log_does_not_make_up_for_a_cut_database() {
    let running = written(1_000).await;
    let opened = running.open();
    opened.store.submit(says(&actor("main", "Nova"), &["newest"])).await.unwrap();
    let whole = fs::read(database(&running)).unwrap();
    assert!(whole.len() > 20 * 8_192, "{} bytes", whole.len());
    let less = |pages: usize| whole.len() - pages * 8_192;
    for keep in [8_192, 5 * 8_192, 9 * 8_192 + 100, less(10), less(2), less(1)] {
        let place = StoreLocation::new();
        fs::write(database(&place), &whole[..keep]).unwrap();
        fs::copy(wal(&running), wal(&place)).unwrap();
        let error = refused(&place);
        assert!(matches!(error, OpenError::Damaged(..)), "{keep} bytes: {error}");
    }
    opened.close();
}

/// A database whose pages are overwritten, all but the first, as a failing disk or a wrong restore does.
#[tokio::test]
async fn overwritten_pages_are_noticed() {
    for garbage in [0_u8, 0x41, 0xff] {
        let place = written(500).await;
        let mut bytes = fs::read(database(&place)).unwrap();
        bytes[8_192..].fill(garbage);
        fs::write(database(&place), &bytes).unwrap();
        let error = refused(&place);
        assert!(matches!(error, OpenError::Damaged(..)), "filled with {garbage}: {error}");
    }
}

/// A database of another application, and one that nobody has signed.
#[test]
fn a_foreign_database_is_not_opened() {
    for application in ["PRAGMA application_id = 77; CREATE TABLE t (a);", "CREATE TABLE events (a);"] {
        let place = StoreLocation::new();
        Connection::open(database(&place)).unwrap().execute_batch(application).unwrap();
        assert_damaged(&refused(&place), "another application");
    }
}

/// A store that a newer version has written, and one in which a known migration has another content.
#[tokio::test]
async fn another_version_is_not_opened() {
    let changes = [
        ("INSERT INTO schema_migrations (name, checksum) VALUES ('9999_later', 'c')", "newer version"),
        ("UPDATE schema_migrations SET checksum = 'other'", "another content"),
    ];
    for (change, word) in changes {
        let place = written(3).await;
        Connection::open(database(&place)).unwrap().execute_batch(change).unwrap();
        let error = refused(&place);
        assert!(matches!(error, OpenError::Version(..)) && error.to_string().contains(word), "{error}");
    }
}

/// A data directory that is a file, and a database that is a directory.
#[test]
fn what_is_no_directory_is_said_so() {
    let place = StoreLocation::new();
    let file = place.directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let Err(error) = Store::open(Options { location: Kept::Directory(directory), ..place.options() })
        else {
            panic!("opened a file")
        };
        assert!(matches!(error, OpenError::Directory(..)) && error.to_string().contains("file"), "{error}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    fs::create_dir(database(&place)).unwrap();
    let error = refused(&place);
    assert!(matches!(error, OpenError::Damaged(..) | OpenError::Directory(..)), "{error}");
}

/// RULINGS O9: one process per directory. The one that has it is not disturbed, and the next can have it after it.
#[tokio::test]
async fn a_store_in_use_is_not_opened_twice() {
    let place = StoreLocation::new();
    let opened = place.open();
    opened.store.submit(says(&actor("main", "Nova"), &["one"])).await.unwrap();
    let error = refused(&place);
    assert!(matches!(error, OpenError::Locked(..)), "{error}");
    assert!(error.to_string().contains("AGENTCAFE_DATA_DIR"), "{error}");
    opened.store.submit(says(&actor("main", "Nova"), &["two"])).await.unwrap();
    opened.close();
    let opened = place.open();
    assert_eq!(all_texts(&opened.store).await, ["one", "two"]);
    opened.close();
}

/// What is new is made: a missing directory, with parents, an empty directory, and an empty file without a log.
#[tokio::test]
async fn what_is_new_is_made() {
    let place = StoreLocation::new();
    fs::File::create(database(&place)).unwrap().flush().unwrap();
    let opened = place.open();
    assert_eq!(opened.store.recent_events().head(), Sequence::START);
    opened.close();
    let directory = place.directory.path().join("a/b/c");
    let (store, closing) =
        Store::open(Options { location: Kept::Directory(directory.clone()), ..place.options() }).unwrap();
    drop(store);
    closing.wait();
    assert!(directory.is_dir());
}
