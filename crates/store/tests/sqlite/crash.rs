//! Crash safety of the files: whenever a process is killed, the next start reads every event.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use super::files::{database, files_after_kill, wal_file};
use crate::commit_batches::all_texts;
use crate::test_store::TestStore;

const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The pages that a checkpoint of the write-ahead log would write: the newest content of each, in order.
fn checkpoint(test_store: &TestStore) -> (usize, Vec<(usize, Vec<u8>)>) {
    let log = fs::read(wal_file(test_store)).unwrap();
    let page_bytes = number(&log, 8);
    let mut pages = std::collections::BTreeMap::new();
    for frame in log[WAL_HEADER_BYTES..].chunks_exact(FRAME_HEADER_BYTES + page_bytes) {
        let same_generation = frame[8..16] == log[16..24];
        if same_generation {
            pages.insert(number(frame, 0), frame[FRAME_HEADER_BYTES..].to_vec());
        }
    }
    (page_bytes, pages.into_iter().collect())
}

async fn assert_whole(test_store: &TestStore, count: usize) {
    let opened = test_store.open();
    let texts = all_texts(&opened.store).await;
    assert_eq!(texts.len(), count);
    assert!(texts.iter().enumerate().all(|(at, text)| text.trim_end_matches('x') == at.to_string()));
    opened.close();
}

/// A kill while no checkpoint runs: only the write-ahead log has the newest events.
#[tokio::test]
async fn crash_between_checkpoints_loses_no_event() {
    let test_store = files_after_kill(30, 100).await;
    assert_whole(&test_store, 30).await;
    assert_whole(&test_store, 30).await;
}

/// A kill during a checkpoint: some pages are in the database already, the others still only in the log.
/// The first page, which has the number of pages, is written among the first; until the last one is
/// written, the file is shorter than that.
#[tokio::test]
async fn crash_during_a_checkpoint_loses_no_event() {
    for share in [1, 2, 3, 4] {
        let test_store = files_after_kill(60, 8_000).await;
        let (page_bytes, pages) = checkpoint(&test_store);
        assert!(pages.len() > 50, "there is something to checkpoint: {} pages", pages.len());
        let mut file = File::options().write(true).open(database(&test_store)).unwrap();
        let closed_store_with = if share == 1 { 1 } else { pages.len() * (share - 1) / 4 };
        for (page, bytes) in &pages[..closed_store_with] {
            file.seek(SeekFrom::Start(((page - 1) * page_bytes) as u64)).unwrap();
            file.write_all(bytes).unwrap();
        }
        drop(file);
        assert_whole(&test_store, 60).await;
    }
}

/// A kill during a write to the log: the torn frames belong to a commit batch that was not answered.
#[tokio::test]
async fn crash_during_a_wal_write_ignores_the_torn_frames() {
    let test_store = files_after_kill(30, 100).await;
    let torn = File::options().append(true).open(wal_file(&test_store)).unwrap();
    let whole = torn.metadata().unwrap().len();
    (&torn).write_all(&vec![0x5a; 10_000]).unwrap();
    drop(torn);
    assert!(fs::metadata(wal_file(&test_store)).unwrap().len() > whole);
    assert_whole(&test_store, 30).await;
}
