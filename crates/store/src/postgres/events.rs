//! The log's statements.

use agentcafe_domain::kernel::{
    event::{EventType, StoredEvent},
    ids::{ActorId, RoomId, Sequence, TenantId},
    time::Timestamp,
};
use agentcafe_eventlog::{EventPage, EventQuery, LoggedEvent};
use bytes::Bytes;
use tokio_postgres::{Error, Row, types::ToSql};
use uuid::Uuid;

use super::{connection::Connection, open::Unreadable};
use crate::changes::Numbers;

/// Appends the events of a turn.
pub(super) const APPEND: &str =
    "INSERT INTO events (sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, mentioned_actor_id, json)
     SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                          $8::text[], $9::text[])";

/// The columns of the events of a turn.
pub(super) struct Columns<'e> {
    sequences: Vec<i64>,
    ids: Vec<Uuid>,
    tenants: Vec<&'e str>,
    rooms: Vec<&'e str>,
    actors: Vec<&'e str>,
    kinds: Vec<&'e str>,
    moments: Vec<i64>,
    mentioned: Vec<Option<&'e str>>,
    texts: Vec<&'e str>,
}

impl<'e> Columns<'e> {
    pub(super) fn of(events: &'e [StoredEvent]) -> Self {
        Self {
            sequences: events.iter().map(|event| number(event.sequence)).collect(),
            ids: events.iter().map(|event| event.event_id).collect(),
            tenants: events.iter().map(|event| event.tenant_id.as_str()).collect(),
            rooms: events.iter().map(|event| event.room_id.as_str()).collect(),
            actors: events.iter().map(|event| event.actor_id.as_str()).collect(),
            kinds: events.iter().map(|event| event.kind.as_str()).collect(),
            moments: events.iter().map(|event| event.timestamp.as_millis()).collect(),
            mentioned: events.iter().map(|event| event.mentioned.as_ref().map(ActorId::as_str)).collect(),
            texts: events
                .iter()
                .map(|event| std::str::from_utf8(&event.json).expect("events are rendered as UTF-8"))
                .collect(),
        }
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.sequences,
            &self.ids,
            &self.tenants,
            &self.rooms,
            &self.actors,
            &self.kinds,
            &self.moments,
            &self.mentioned,
            &self.texts,
        ]
    }
}

pub(super) fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

pub(super) fn sequence(number: i64) -> Sequence {
    Sequence(number.unsigned_abs())
}

/// What [`crate::changes::Changes`] counts, as it is stored; a table that was never written to may be missing.
pub(super) fn numbers(stored: Vec<i64>) -> Numbers {
    let mut stored = stored.into_iter();
    std::array::from_fn(|_| stored.next().unwrap_or_default())
}

/// How things stand in the database at one moment.
pub(super) struct Standing {
    /// The last event's place.
    pub(super) head: Sequence,
    /// How often the tables that are watched have been written to.
    pub(super) numbers: Numbers,
    /// What time it is.
    pub(super) now: Timestamp,
}

impl Standing {
    pub(super) async fn read(connection: &Connection) -> Result<Self, Unreadable> {
        let sql =
            "SELECT sequence, watched, (extract(epoch from clock_timestamp()) * 1000)::bigint FROM log_head";
        let rows = connection.query(sql, &[]).await?;
        let row = rows.first().ok_or_else(|| Unreadable::Content("no row of heads".to_owned()))?;
        Ok(Self {
            head: sequence(row.try_get(0)?),
            numbers: numbers(row.try_get(1)?),
            now: Timestamp::from_millis(row.try_get(2)?),
        })
    }
}

/// The place of the event with this id.
pub(super) async fn sequence_of(connection: &Connection, event_id: Uuid) -> Result<Option<Sequence>, Error> {
    let rows = connection.query("SELECT sequence FROM events WHERE event_id = $1", &[&event_id]).await?;
    rows.first().map(|row| row.try_get(0).map(sequence)).transpose()
}

/// The place of the room's event before its newest `count`.
pub(super) async fn before_newest(
    connection: &Connection,
    tenant: &TenantId,
    room: &RoomId,
    count: u32,
) -> Result<Sequence, Error> {
    let sql = "SELECT sequence FROM events WHERE tenant_id = $1 AND room_id = $2
               ORDER BY sequence DESC LIMIT 1 OFFSET $3";
    let rows = connection.query(sql, &[&tenant.as_str(), &room.as_str(), &i64::from(count)]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.map_or(Sequence::START, sequence))
}

/// The events at these places, in their order, as many as `max_bytes` of JSON hold, and the first in any case.
pub(super) async fn at(
    connection: &Connection,
    places: &[Sequence],
    max_bytes: usize,
) -> Result<Vec<LoggedEvent>, Unreadable> {
    let wanted: Vec<i64> = places.iter().map(|place| number(*place)).collect();
    let sql = "SELECT sequence, type, json FROM events JOIN unnest($1::bigint[]) WITH ORDINALITY AS wanted (place, turn)
               ON sequence = place ORDER BY turn";
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

/// The last event before a moment.
async fn last_before(connection: &Connection, ctx: Timestamp) -> Result<Sequence, Error> {
    let rows = connection.query("SELECT last_event_before($1)", &[&ctx.as_millis()]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.map_or(Sequence::START, sequence))
}

/// A page of the log, and how far was looked.
pub(super) async fn read(connection: &Connection, query: &EventQuery) -> Result<EventPage, Unreadable> {
    let head = Standing::read(connection).await?.head;
    let mut after = query.after;
    if let Some(from) = query.from {
        after = after.max(last_before(connection, from).await?);
    }
    let mut last = query.before.map_or(head, |before| head.min(Sequence(before.0.saturating_sub(1))));
    if let Some(to) = query.to {
        last = last.min(last_before(connection, to.plus_ms(1)).await?);
    }
    let (events, is_cut) = select(connection, query, after, last).await?;
    let scanned_to = match events.last() {
        Some(event) if is_cut => event.sequence,
        None if is_cut => after,
        _ => last.max(after),
    };
    Ok(EventPage { events, scanned_to })
}

/// The matching events, and whether a limit may have cut off more. Rows come as far as their bytes fit.
async fn select(
    connection: &Connection,
    query: &EventQuery,
    after: Sequence,
    last: Sequence,
) -> Result<(Vec<LoggedEvent>, bool), Unreadable> {
    let filter = &query.filter;
    let (after, last) = (number(after), number(last));
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let max_bytes = i64::try_from(query.max_bytes).unwrap_or(i64::MAX);
    let texts = [
        ("tenant_id", filter.tenant.as_ref().map(TenantId::as_str)),
        ("room_id", filter.room.as_ref().map(RoomId::as_str)),
        ("actor_id", filter.actor.as_ref().map(ActorId::as_str)),
        ("mentioned_actor_id", filter.mentioned.as_ref().map(ActorId::as_str)),
    ];
    let kinds: Option<Vec<&str>> =
        filter.types.as_ref().map(|types| types.iter().map(|kind| kind.as_str()).collect());
    let mut conditions = String::from("sequence > $1 AND sequence <= $2");
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&after, &last];
    for (column, text) in &texts {
        if let Some(text) = text {
            parameters.push(text);
            conditions.push_str(&format!(" AND {column} = ${}", parameters.len()));
        }
    }
    if let Some(kinds) = &kinds {
        parameters.push(kinds);
        conditions.push_str(&format!(" AND type = ANY(${})", parameters.len()));
    }
    parameters.extend([&limit as &(dyn ToSql + Sync), &max_bytes]);
    let order = if query.descending { "DESC" } else { "ASC" };
    let (limit_at, bytes_at) = (parameters.len() - 1, parameters.len());
    // The sums run over the chosen rows in order: as many come as fit, and the first in any case.
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

fn event(row: &Row) -> Result<LoggedEvent, Unreadable> {
    let name: &str = row.try_get(1)?;
    let kind =
        EventType::parse(name).ok_or_else(|| Unreadable::Content(format!("an event of type {name:?}")))?;
    let json: &str = row.try_get(2)?;
    Ok(LoggedEvent {
        sequence: sequence(row.try_get(0)?),
        kind,
        json: Bytes::copy_from_slice(json.as_bytes()),
    })
}
