//! Checks the files of a database before SQLite opens them: it would take an empty or truncated file for a new one, or write to it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::open_error::OpenError;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// The header of a database file.
struct Header {
    page_bytes: u64,
    pages: u64,
}

/// Checks the size and header of a database. Returns whether there is none yet.
///
/// # Errors
/// [`OpenError::Damaged`] if it is truncated, or no database.
pub(super) fn check(database: &Path) -> Result<bool, OpenError> {
    let damaged = |why: &str| OpenError::Damaged(database.to_owned(), why.to_owned());
    let unreadable = |error: io::Error| OpenError::Directory(database.to_owned(), error);
    let wal = database.with_extension("db-wal");
    let has_wal = fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0);
    let mut file = match File::open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !has_wal => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("its write-ahead log is there, but the database is missing"));
        }
        Err(error) => return Err(unreadable(error)),
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes == 0 {
        return if has_wal { Err(damaged("the database file is empty")) } else { Ok(true) };
    }
    let header = read_header(&mut file).ok_or_else(|| damaged("the file is not a SQLite database"))?;
    let whole_pages = bytes / header.page_bytes;
    if whole_pages < header.pages {
        // During a checkpoint the header is ahead of the file: then the write-ahead log has the missing pages.
        let logged = if has_wal { logged_pages(&wal).map_err(unreadable)? } else { HashSet::new() };
        if !(whole_pages + 1..=header.pages).all(|page| logged.contains(&page)) {
            return Err(damaged("the file was cut short"));
        }
    }
    Ok(false)
}

fn read_header(file: &mut File) -> Option<Header> {
    let mut header = [0; 32];
    file.read_exact(&mut header).ok()?;
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let is_ours = &header[..16] == MAGIC && page_bytes.is_power_of_two() && page_bytes >= 512;
    is_ours.then(|| Header { page_bytes, pages: u64::from(number(&header[28..32])) })
}

/// A number as SQLite writes it; 0 if these are not four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_be_bytes)
}

/// The pages in a write-ahead log: those of the frames since its last reset, which have the salts of its header.
fn logged_pages(wal: &Path) -> io::Result<HashSet<u64>> {
    let mut log = BufReader::new(File::open(wal)?);
    let mut header = [0; WAL_HEADER_BYTES as usize];
    let mut pages = HashSet::new();
    if log.read_exact(&mut header).is_err() {
        return Ok(pages);
    }
    let (page_bytes, salts) = (i64::from(number(&header[8..12])), &header[16..24]);
    let mut frame = [0; FRAME_HEADER_BYTES as usize];
    while log.read_exact(&mut frame).is_ok() && frame[8..16] == *salts {
        pages.insert(u64::from(number(&frame[..4])));
        log.seek(SeekFrom::Current(page_bytes))?;
    }
    Ok(pages)
}
