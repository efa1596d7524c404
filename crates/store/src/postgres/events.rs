//! The statements of the log.

use agentcafe_domain::kernel::{
    ActorId, EventType, Heads, RoomId, Sequence, StoredEvent, TenantId, Timestamp,
};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent};
use bytes::Bytes;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::connect::PostgresError;
use super::connection::Connection;
use super::pipeline::{BoundStatement, column};
use crate::sql::{self, number, sequence};
use crate::table_changes::TableVersions;

/// Appends events.
pub(super) fn append(events: &[StoredEvent]) -> BoundStatement<'_> {
    BoundStatement::new(
        "INSERT INTO events (sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, mentioned_actor_id, json)
         SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                              $8::text[], $9::text[])",
        vec![
            column(events, |event| number(event.sequence)),
            column(events, |event| event.event_id),
            column(events, |event| event.tenant_id.as_str()),
            column(events, |event| event.room_id.as_str()),
            column(events, |event| event.actor_id.as_str()),
            column(events, |event| event.kind.as_str()),
            column(events, |event| event.timestamp.as_millis()),
            column(events, |event| event.mentioned.as_ref().map(ActorId::as_str)),
            column(events, |event| {
                std::str::from_utf8(&event.json).expect("events are rendered as UTF-8")
            }),
        ],
    )
}

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
}

impl CommittedHead {
    pub(super) async fn read(connection: &Connection) -> Result<Self, PostgresError> {
        let sql =
            "SELECT sequence, watched, (extract(epoch from clock_timestamp()) * 1000)::bigint FROM log_head";
        let rows = connection.query(sql, &[]).await?;
        let row = rows.first().ok_or_else(|| PostgresError::Corrupt("no row of heads".to_owned()))?;
        Ok(Self {
            head: sequence(row.try_get(0)?),
            table_versions: table_versions(row.try_get(1)?),
            now: Timestamp::from_millis(row.try_get(2)?),
        })
    }
}

/// The sequence of the event with this id.
pub(super) async fn sequence_of(
    connection: &Connection,
    event_id: Uuid,
) -> Result<Option<Sequence>, PostgresError> {
    let rows = connection.query("SELECT sequence FROM events WHERE event_id = $1", &[&event_id]).await?;
    Ok(rows.first().map(|row| row.try_get(0).map(sequence)).transpose()?)
}

/// The sequence of the room's event before its newest `count`; the start of the log if the room has no more.
pub(super) async fn before_newest(
    connection: &Connection,
    tenant: &TenantId,
    room: &RoomId,
    count: u32,
) -> Result<Sequence, PostgresError> {
    let sql = "SELECT sequence FROM events WHERE tenant_id = $1 AND room_id = $2
               ORDER BY sequence DESC LIMIT 1 OFFSET $3";
    let rows = connection.query(sql, &[&tenant.as_str(), &room.as_str(), &i64::from(count)]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.map_or(Sequence::START, sequence))
}

/// The events with these sequences, in this order; after the first, only as many as `max_bytes` hold.
pub(super) async fn at(
    connection: &Connection,
    sequences: &[Sequence],
    max_bytes: usize,
) -> Result<Vec<LoggedEvent>, PostgresError> {
    let wanted: Vec<i64> = sequences.iter().map(|sequence| number(*sequence)).collect();
    let sql = "SELECT sequence, type, json FROM events JOIN unnest($1::bigint[]) WITH ORDINALITY AS requested (wanted, position)
               ON sequence = wanted ORDER BY position";
    let rows = connection.query(sql, &[&wanted]).await?;
    let (mut events, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    for row in &rows {
        let found = event(row)?;
        bytes += found.json.len();
        if bytes > max_bytes && !events.is_empty() {
            break;
        }
        events.push(found);
    }
    Ok(events)
}

/// The last event before a time.
async fn last_before(connection: &Connection, time: Timestamp) -> Result<Sequence, Error> {
    let rows = connection.query("SELECT last_event_before($1)", &[&time.as_millis()]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.map_or(Sequence::START, sequence))
}

/// A page of the log.
pub(super) async fn read(connection: &Connection, query: &EventQuery) -> Result<EventPage, PostgresError> {
    let head = CommittedHead::read(connection).await?.head;
    let mut after = query.after;
    if let Some(from) = query.from {
        after = after.max(last_before(connection, from).await?);
    }
    let mut last = sql::last_before(query, head);
    if let Some(to) = query.to {
        last = last.min(last_before(connection, to.plus_ms(1)).await?);
    }
    let (events, is_cut) = select(connection, query, after, last).await?;
    Ok(sql::page(events, is_cut, after, last))
}

/// The matching events, and whether a limit may have left out more. Only rows whose bytes fit are sent.
async fn select(
    connection: &Connection,
    query: &EventQuery,
    after: Sequence,
    last: Sequence,
) -> Result<(Vec<LoggedEvent>, bool), PostgresError> {
    let filter = &query.filter;
    let (after, last) = (number(after), number(last));
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let max_bytes = i64::try_from(query.max_bytes).unwrap_or(i64::MAX);
    let texts: Vec<_> = sql::event_conditions(filter).collect();
    let kinds: Option<Vec<&str>> =
        filter.types.as_ref().map(|types| types.iter().map(|kind| kind.as_str()).collect());
    let mut conditions = String::from("sequence > $1 AND sequence <= $2");
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&after, &last];
    for (column, text) in &texts {
        parameters.push(text);
        conditions.push_str(&format!(" AND {column} = ${}", parameters.len()));
    }
    if let Some(kinds) = &kinds {
        parameters.push(kinds);
        conditions.push_str(&format!(" AND type = ANY(${})", parameters.len()));
    }
    parameters.extend([&limit as &(dyn ToSql + Sync), &max_bytes]);
    let order = if query.descending { "DESC" } else { "ASC" };
    let (limit_at, bytes_at) = (parameters.len() - 1, parameters.len());
    // The sums run over the chosen rows in order: as many are sent as fit, and the first in any case.
    let sql = format!(
        "SELECT sequence, type, json, chosen FROM (
             SELECT sequence, type, json, count(*) OVER () AS chosen,
                    sum(octet_length(json)) OVER (ORDER BY sequence {order}) AS bytes
             FROM (SELECT sequence, type, json FROM events WHERE {conditions}
                   ORDER BY sequence {order} LIMIT ${limit_at}) AS page) AS summed
         WHERE bytes <= ${bytes_at} OR bytes = octet_length(json) ORDER BY sequence {order}"
    );
    let rows = connection.query(&sql, &parameters).await?;
    let events: Vec<LoggedEvent> = rows.iter().map(event).collect::<Result<_, _>>()?;
    let chosen: i64 = rows.first().map_or(Ok(0), |row| row.try_get(3))?;
    let is_cut = events.len() == query.limit || chosen > i64::try_from(events.len()).unwrap_or(i64::MAX);
    Ok((events, is_cut))
}

fn event(row: &Row) -> Result<LoggedEvent, PostgresError> {
    let json: &str = row.try_get(2)?;
    Ok(LoggedEvent {
        sequence: sequence(row.try_get(0)?),
        kind: event_type(row.try_get(1)?)?,
        json: Bytes::copy_from_slice(json.as_bytes()),
    })
}

/// The stored name of an event type.
pub(super) fn event_type(name: &str) -> Result<EventType, PostgresError> {
    EventType::parse(name).ok_or_else(|| PostgresError::Corrupt(format!("an event of type {name:?}")))
}
