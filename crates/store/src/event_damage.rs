//! Damaged rows of the log: the checksum that tells them from intact ones, and the search for rows that the database cannot
//! read.

use std::ops::ControlFlow;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::DamagedEvents;

use crate::reads::ReadConnection;
use crate::rows::{Parameter, Row, logged_event};
use crate::sql::number;
use crate::storage_error::StorageError;

/// How many sequences the search examines at once.
const CHUNK: u64 = 256;

/// The checksum of a row of the log: a CRC-32 of the columns that readers get. It begins with the sequence, so that the row of
/// another event does not fit.
pub(crate) fn checksum(sequence: Sequence, kind: &str, json: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new_with_initial(sequence.0 as u32);
    hasher.update(kind.as_bytes());
    hasher.update(json);
    hasher.finalize().cast_signed().into()
}

/// Finds damaged events after `after`, up to `last`, from the end that a read begins at. If every row can be read by its
/// sequence, an index is damaged, and any of these events may be missing in what it finds.
///
/// # Errors
/// The database cannot be read for another reason.
pub(crate) async fn find<C: ReadConnection>(
    connection: &C,
    after: Sequence,
    last: Sequence,
    descending: bool,
) -> Result<DamagedEvents, StorageError> {
    let chunks = last.0.saturating_sub(after.0).div_ceil(CHUNK);
    for at in 0..chunks {
        let chunk = if descending { chunks - 1 - at } else { at };
        let low = Sequence(after.0 + chunk * CHUNK);
        let high = last.min(Sequence(low.0 + CHUNK));
        if are_intact(connection, low, high).await? {
            continue;
        }
        let mut first = low;
        while first < high && is_intact(connection, first.next()).await? {
            first = first.next();
        }
        let mut to = first;
        while to < high && !is_intact(connection, to.next()).await? {
            to = to.next();
        }
        // If none is damaged, the database has looked ahead.
        if first < high {
            return Ok(DamagedEvents { after: first, to });
        }
    }
    Ok(DamagedEvents { after, to: last })
}

/// Whether all rows after `after`, up to `to`, can be read and have their checksum.
async fn are_intact<C: ReadConnection>(
    connection: &C,
    after: Sequence,
    to: Sequence,
) -> Result<bool, StorageError> {
    let sql = "SELECT sequence, type, json, checksum FROM events WHERE sequence >= $1 AND sequence <= $2";
    let bounds = [after.next(), to].map(|bound| Parameter::Integer(number(bound)));
    let take =
        |row: &dyn Row| -> Result<_, StorageError> { logged_event(row).map(|_| ControlFlow::Continue(())) };
    intact(connection.read(sql, &bounds, take).await)
}

/// The same of one row, which the database finds without looking at others.
async fn is_intact<C: ReadConnection>(connection: &C, sequence: Sequence) -> Result<bool, StorageError> {
    intact(connection.events_at(&[sequence], usize::MAX).await)
}

fn intact<T>(read: Result<T, StorageError>) -> Result<bool, StorageError> {
    match read {
        Ok(_) => Ok(true),
        Err(error) if error.is_damage() => Ok(false),
        Err(error) => Err(error),
    }
}
