//! The id of the log in an embedded store, and whether the log has become shorter.

use std::io;
use std::path::Path;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::LogPosition;
use rusqlite::Connection;

use super::open::{DataDirectory, explain, open_reader, open_writer};
use super::storage::log_head;
use super::{file_check, high_water_mark};
use crate::open_error::OpenError;
use crate::storage::LogHead;

/// The id of the log, which changes with its epoch.
pub(super) fn log_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT log_id || '-' || epoch FROM log_identity", [], |row| row.get(0))
}

/// Begins a new epoch.
pub(super) fn begin_epoch(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE log_identity SET epoch = lower(hex(randomblob(4)))", []).map(|_| ())
}

/// Begins a new epoch of the store in this directory. Returns the new id of the log.
///
/// # Errors
/// There is no store, it is in use, or it cannot be written.
pub(crate) fn begin_epoch_in(directory: &Path) -> Result<String, OpenError> {
    let locked = DataDirectory::lock(directory)?;
    let database = &locked.database;
    if file_check::check(database)? {
        let missing = io::Error::new(io::ErrorKind::NotFound, "there is no store");
        return Err(OpenError::Directory(directory.to_owned(), missing));
    }
    let connection = open_writer(database)?;
    let begin = || {
        begin_epoch(&connection)?;
        let head = log_head(&connection)?.heads.sequence;
        Ok(LogPosition { head, log_id: log_id(&connection)? })
    };
    let position = begin().map_err(|error: rusqlite::Error| explain(database, &error))?;
    high_water_mark::write(database, &position);
    Ok(position.log_id)
}

/// Compares the log with its high-water mark, before anything is changed. Returns whether a new epoch begins.
///
/// # Errors
/// [`OpenError::ShorterLog`] if events are missing, unless that is accepted.
pub(super) fn check(database: &Path, accept_shorter_log: bool) -> Result<bool, OpenError> {
    let Some(mark) = high_water_mark::read(database).filter(|mark| mark.head > Sequence::START) else {
        return Ok(false);
    };
    let Some(found) = loss(database, &mark)? else { return Ok(false) };
    if !accept_shorter_log {
        return Err(OpenError::ShorterLog { database: database.to_owned(), head: mark.head, found });
    }
    tracing::warn!(had = %mark.head, found, "the log is shorter than it was: a new epoch begins");
    Ok(true)
}

/// What is there instead of the log that the mark is of, if it is another.
fn loss(database: &Path, mark: &LogPosition) -> Result<Option<String>, OpenError> {
    if file_check::check(database)? {
        return Ok(Some("the database is missing or empty".to_owned()));
    }
    // A connection that reads only: the write-ahead log stays as it is. What cannot be read is reported by the writer.
    let Ok(reader) = open_reader(database) else { return Ok(None) };
    let Ok(LogHead { heads, .. }) = log_head(&reader) else { return Ok(None) };
    let head = heads.sequence;
    if head < mark.head {
        return Ok(Some(format!("it ends at {head}")));
    }
    let is_same = log_id(&reader).is_ok_and(|log_id| log_id == mark.log_id);
    Ok((!is_same).then(|| "it is another log".to_owned()))
}
