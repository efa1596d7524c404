//! Promise 1 in the files: whatever instant a process is killed at, the next start finds everything.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
};

use super::files::{database, killed, wal};
use crate::{batches::all_texts, place::StoreLocation};

const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The pages that a checkpoint of the write-ahead log would write: the newest content of each, in the order of pages.
fn checkpoint(place: &StoreLocation) -> (usize, Vec<(usize, Vec<u8>)>) {
    let log = fs::read(wal(place)).unwrap();
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

async fn assert_whole(place: &StoreLocation, count: usize) {
    let opened = place.open();
    let texts = all_texts(&opened.store).await;
    assert_eq!(texts.len(), count);
    assert!(texts.iter().enumerate().all(|(at, text)| text.trim_end_matches('x') == at.to_string()));
    opened.close();
}

/// A kill while nothing is being folded in: the write-ahead log alone holds the newest events.
#[tokio::test]
async fn a_kill_between_checkpoints_loses_nothing() {
    let place = killed(30, 100).await;
    assert_whole(&place, 30).await;
    assert_whole(&place, 30).await;
}

/// A kill in the middle of a checkpoint: some pages are in the database already, the others still only in the log. The
/// first page, which says how many pages there are, is among the first that are written; the file is shorter than it
/// says until the last one is.
#[tokio::test]
async fn a_kill_within_a_checkpoint_loses_nothing() {
    for share in [1, 2, 3, 4] {
        let place = killed(60, 8_000).await;
        let (page_bytes, pages) = checkpoint(&place);
        assert!(pages.len() > 50, "there is something to fold in: {} pages", pages.len());
        let mut file = File::options().write(true).open(database(&place)).unwrap();
        let written = if share == 1 { 1 } else { pages.len() * (share - 1) / 4 };
        for (page, bytes) in &pages[..written] {
            file.seek(SeekFrom::Start(((page - 1) * page_bytes) as u64)).unwrap();
            file.write_all(bytes).unwrap();
        }
        drop(file);
        assert_whole(&place, 60).await;
    }
}

/// A kill in the middle of a write to the log: the torn end belongs to a turn that nobody was told of.
#[tokio::test]
async fn a_torn_end_of_the_log_is_left_out() {
    let place = killed(30, 100).await;
    let torn = File::options().append(true).open(wal(&place)).unwrap();
    let whole = torn.metadata().unwrap().len();
    (&torn).write_all(&vec![0x5a; 10_000]).unwrap();
    drop(torn);
    assert!(fs::metadata(wal(&place)).unwrap().len() > whole);
    assert_whole(&place, 30).await;
}
