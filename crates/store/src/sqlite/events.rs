//! The statements of the log.

use std::sync::LazyLock;

use agentcafe_domain::kernel::{Sequence, StoredEvent, Timestamp};
use agentcafe_eventlog::LoggedEvent;
use rusqlite::{Connection, OptionalExtension, params};

use super::connection::execute;
use super::records::insert_into;
use crate::reads::Fitting;
use crate::rows::{EVENTS, logged_event};
use crate::sql::{number, sequence};
use crate::storage_error::StorageError;

/// The last sequence that was assigned and the last event's time; the start of the log if there is none. After an import no
/// event here may have that sequence: it was assigned in the store that the events came from.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<(Sequence, Timestamp)> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce((SELECT max(sequence) FROM events), 0), coalesce((SELECT sequence FROM import_origin), 0),
                coalesce((SELECT at_ms FROM events ORDER BY sequence DESC LIMIT 1), 0)",
    )?;
    statement.query_row([], |row| {
        let (last_event, imported) = (sequence(row.get(0)?), sequence(row.get(1)?));
        Ok((last_event.max(imported), Timestamp::from_millis(row.get(2)?)))
    })
}

/// Appends an event.
pub(super) fn append(connection: &Connection, event: &StoredEvent) -> rusqlite::Result<()> {
    static INSERT: LazyLock<String> =
        LazyLock::new(|| insert_into(EVENTS.table, EVENTS.columns, EVENTS.types.len()));
    execute(connection, &INSERT, (EVENTS.values)(event))
}

/// The last event before a time. Timestamps never decrease along the log, so this is a binary search.
pub(super) fn last_before(
    connection: &Connection,
    head: Sequence,
    time: Timestamp,
) -> rusqlite::Result<Sequence> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, at_ms FROM events WHERE sequence > ?1 ORDER BY sequence ASC LIMIT 1",
    )?;
    let (mut low, mut high) = (0, head.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let probe = params![number(Sequence(middle))];
        let found: Option<(i64, i64)> =
            statement.query_row(probe, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((found, at_ms)) if at_ms < time.as_millis() => low = found.unsigned_abs(),
            _ => high = middle,
        }
    }
    Ok(Sequence(low))
}

/// The events with these sequences, in this order; after the first, only as many as `max_bytes` hold.
pub(super) fn at(
    connection: &Connection,
    sequences: &[Sequence],
    max_bytes: usize,
) -> Result<Vec<LoggedEvent>, StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT sequence, type, json, checksum FROM events WHERE sequence = ?1")?;
    let mut events = Fitting::new(max_bytes);
    for sequence in sequences {
        let mut rows = statement.query([number(*sequence)])?;
        let Some(row) = rows.next()? else { continue };
        let event = logged_event(row)?;
        if events.add(event.json.len(), event).is_break() {
            break;
        }
    }
    Ok(events.taken)
}
