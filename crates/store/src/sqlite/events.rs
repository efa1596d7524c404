//! The statements of the log.

use agentcafe_domain::kernel::{EventType, RoomId, Sequence, StoredEvent, TenantId, Timestamp};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent};
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use crate::sql::{self, number, sequence};

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
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, mentioned_actor_id, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    statement.execute(params![
        number(event.sequence),
        event.event_id.as_bytes(),
        event.tenant_id.as_str(),
        event.room_id.as_str(),
        event.actor_id.as_str(),
        event.kind.as_str(),
        event.timestamp.as_millis(),
        event.mentioned.as_ref().map(|actor| actor.as_str()),
        event.json.as_ref(),
    ])?;
    Ok(())
}

/// The sequence of the event with this id.
pub(super) fn sequence_of(connection: &Connection, event_id: Uuid) -> rusqlite::Result<Option<Sequence>> {
    connection
        .prepare_cached("SELECT sequence FROM events WHERE event_id = ?1")?
        .query_row([event_id.as_bytes()], |row| row.get(0).map(sequence))
        .optional()
}

/// The sequence of the room's event before its newest `count`; the start of the log if the room has no more.
pub(super) fn before_newest(
    connection: &Connection,
    tenant: &TenantId,
    room: &RoomId,
    count: u32,
) -> rusqlite::Result<Sequence> {
    let found = connection
        .prepare_cached(
            "SELECT sequence FROM events WHERE tenant_id = ?1 AND room_id = ?2
             ORDER BY sequence DESC LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![tenant.as_str(), room.as_str(), count], |row| row.get(0).map(sequence))
        .optional()?;
    Ok(found.unwrap_or(Sequence::START))
}

/// The last event before a time. Timestamps never decrease along the log, so this is a binary search.
fn last_before(connection: &Connection, head: Sequence, time: Timestamp) -> rusqlite::Result<Sequence> {
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
) -> rusqlite::Result<Vec<LoggedEvent>> {
    let mut statement =
        connection.prepare_cached("SELECT sequence, type, json FROM events WHERE sequence = ?1")?;
    let (mut events, mut bytes) = (Vec::with_capacity(sequences.len()), 0);
    for sequence in sequences {
        let Some(found) = statement.query_row([number(*sequence)], event).optional()? else { continue };
        bytes += found.json.len();
        if bytes > max_bytes && !events.is_empty() {
            break;
        }
        events.push(found);
    }
    Ok(events)
}

/// A page of the log.
pub(super) fn read(connection: &Connection, query: &EventQuery) -> rusqlite::Result<EventPage> {
    let transaction = connection.unchecked_transaction()?;
    let (head, _) = head(&transaction)?;
    let mut after = query.after;
    if let Some(from) = query.from {
        after = after.max(last_before(&transaction, head, from)?);
    }
    let mut last = sql::last_before(query, head);
    if let Some(to) = query.to {
        last = last.min(last_before(&transaction, head, to.plus_ms(1))?);
    }
    let (events, is_cut) = select(&transaction, query, after, last)?;
    Ok(sql::page(events, is_cut, after, last))
}

/// The matching events, and whether a limit may have left out more.
fn select(
    connection: &Connection,
    query: &EventQuery,
    after: Sequence,
    last: Sequence,
) -> rusqlite::Result<(Vec<LoggedEvent>, bool)> {
    let mut sql =
        String::from("SELECT sequence, type, json FROM events WHERE sequence > ? AND sequence <= ?");
    let mut values: Vec<Value> = vec![number(after).into(), number(last).into()];
    for (column, text) in sql::event_conditions(&query.filter) {
        sql.push_str(&format!(" AND {column} = ?"));
        values.push(text.to_owned().into());
    }
    if let Some(types) = &query.filter.types {
        let parameters = vec!["?"; types.len()].join(", ");
        sql.push_str(&format!(" AND type IN ({parameters})"));
        values.extend(types.iter().map(|kind| Value::from(kind.as_str().to_owned())));
    }
    sql.push_str(if query.descending { " ORDER BY sequence DESC" } else { " ORDER BY sequence ASC" });
    sql.push_str(" LIMIT ?");
    values.push(i64::try_from(query.limit).unwrap_or(i64::MAX).into());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?.len();
        if bytes > query.max_bytes && !events.is_empty() {
            return Ok((events, true));
        }
        events.push(event(row)?);
    }
    let is_full = events.len() == query.limit;
    Ok((events, is_full))
}

fn event(row: &Row<'_>) -> rusqlite::Result<LoggedEvent> {
    let name = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let kind = EventType::parse(name)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(1, name.to_owned(), rusqlite::types::Type::Text))?;
    let json = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(LoggedEvent { sequence: sequence(row.get(0)?), kind, json: Bytes::copy_from_slice(json) })
}
