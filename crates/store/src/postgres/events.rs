//! The statements of the log, and its head.

use agentcafe_domain::kernel::{Heads, Sequence, Timestamp};
use agentcafe_eventlog::LoggedEvent;
use tokio_postgres::{Error, Row};

use super::connection::Connection;
use crate::reads::Fitting;
use crate::rows::logged_event;
use crate::sql::{number, sequence};
use crate::storage_error::StorageError;
use crate::table_changes::TableVersions;

/// The numbers of the last event, inbox item and audit entry in these columns of a row of `log_head`.
pub(super) fn heads(row: &Row, [last_event, inbox, audit]: [usize; 3]) -> Result<Heads, Error> {
    let head = |column| row.try_get(column).map(sequence);
    Ok(Heads { sequence: head(last_event)?, inbox: head(inbox)?, audit: head(audit)? })
}

/// The versions of the cached tables, as they are stored; a table that was never written to may be missing.
pub(super) fn table_versions(stored: Vec<i64>) -> TableVersions {
    let mut stored = stored.into_iter();
    std::array::from_fn(|_| stored.next().unwrap_or_default())
}

/// What the last commit batch of any node left.
pub(super) struct CommittedHead {
    /// The last event's sequence.
    pub(super) head: Sequence,
    pub(super) table_versions: TableVersions,
    /// The time of the database.
    pub(super) now: Timestamp,
    /// The time of that batch.
    pub(super) at: Timestamp,
}

impl CommittedHead {
    pub(super) async fn read(connection: &Connection) -> Result<Self, StorageError> {
        let sql = "SELECT sequence, watched, (extract(epoch from clock_timestamp()) * 1000)::bigint, at_ms FROM log_head";
        let rows = connection.query(sql, &[]).await?;
        let row = rows.first().ok_or_else(|| StorageError::Corrupt("no row of heads".to_owned()))?;
        Ok(Self {
            head: sequence(row.try_get(0)?),
            table_versions: table_versions(row.try_get(1)?),
            now: Timestamp::from_millis(row.try_get(2)?),
            at: Timestamp::from_millis(row.try_get(3)?),
        })
    }
}

/// The events with these sequences, in this order; after the first, only as many as `max_bytes` hold.
pub(super) async fn at(
    connection: &Connection,
    sequences: &[Sequence],
    max_bytes: usize,
) -> Result<Vec<LoggedEvent>, StorageError> {
    let wanted: Vec<i64> = sequences.iter().map(|sequence| number(*sequence)).collect();
    let sql = "SELECT sequence, type, json, checksum FROM events JOIN unnest($1::bigint[]) WITH ORDINALITY AS requested (wanted, position)
               ON sequence = wanted ORDER BY position";
    let rows = connection.query(sql, &[&wanted]).await?;
    let mut events = Fitting::new(max_bytes);
    for row in &rows {
        let event = logged_event(row)?;
        if events.add(event.json.len(), event).is_break() {
            break;
        }
    }
    Ok(events.taken)
}

/// The last event before a time.
pub(super) async fn last_before(connection: &Connection, time: Timestamp) -> Result<Sequence, Error> {
    let rows = connection.query("SELECT last_event_before($1)", &[&time.as_millis()]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.map_or(Sequence::START, sequence))
}
