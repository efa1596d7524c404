//! The rooms of a tenant in which anything happened, found with the log's index by room. There is no table of them, so they cost
//! no write.

use std::fmt::Write;
use std::ops::ControlFlow;

use agentcafe_domain::kernel::{IdPatterns, RoomId, Sequence, TenantId, Timestamp};

use crate::reads::{ReadConnection, ReadRequest};
use crate::rows::{Parameter, Row};
use crate::sql::{number, sequence};
use crate::storage_error::StorageError;

/// The most rooms in a page.
pub const MAX_ACTIVE_ROOMS: usize = 100;
/// The most rooms that are looked up one by one, which takes about 3 µs each. If a tenant has more, the newest events are read.
const MAX_LOOKED_UP: usize = 1_000;
/// How many of the newest events are read at once, and how often for a page.
const SLICE: u64 = 500;
const MAX_SLICES: usize = 8;
/// The most actors, and the most tasks, that are counted in a room.
const MAX_COUNTED: usize = 1_000;

/// A room in which something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRoom {
    /// The room.
    pub room_id: RoomId,
    /// Its last event.
    pub last_sequence: Sequence,
    /// When that happened.
    pub last_event_at: Timestamp,
    /// How many actors are present, up to 1,000.
    pub present: u64,
    /// How many tasks are open or active, up to 1,000.
    pub open_tasks: u64,
}

/// A page of rooms, those with the newest events first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveRoomPage {
    /// The rooms. There may be fewer than asked for, although more follow.
    pub rooms: Vec<ActiveRoom>,
    /// The next page has the rooms whose last event is before this one; none if there are no more.
    pub next_before: Option<Sequence>,
}

/// Reads a page of the rooms of a tenant whose ids match.
pub(crate) struct ActiveRooms {
    pub(crate) tenant: TenantId,
    pub(crate) ids: IdPatterns,
    /// Only rooms whose last event is before this one.
    pub(crate) before: Option<Sequence>,
    /// At most [`MAX_ACTIVE_ROOMS`].
    pub(crate) limit: usize,
}

/// A room and its last event.
type Found = (String, Sequence);

impl ReadRequest for ActiveRooms {
    type Answer = ActiveRoomPage;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<ActiveRoomPage, StorageError> {
        // What is committed meanwhile does not count: a room that it is in would be in no part of the page.
        let end = connection.last_sequence().await?.next();
        let before = self.before.map_or(end, |before| before.min(end));
        let (mut found, mut rest) = match self.look_up(connection, end).await? {
            Some(mut all) => {
                all.retain(|(_, last)| *last < before && *last > Sequence::START);
                (all, None)
            }
            None => self.among_newest(connection, before, end).await?,
        };
        found.sort_unstable_by_key(|(_, last)| std::cmp::Reverse(*last));
        if found.len() > self.limit {
            found.truncate(self.limit);
            rest = found.last().map(|(_, last)| *last);
        }
        Ok(ActiveRoomPage { rooms: self.describe(connection, &found).await?, next_before: rest })
    }
}

impl ActiveRooms {
    /// All rooms, one after the other: the smallest id that is larger than the one before. None if they are too many.
    async fn look_up<C: ReadConnection>(
        &self,
        connection: &C,
        end: Sequence,
    ) -> Result<Option<Vec<Found>>, StorageError> {
        let sql = "WITH RECURSIVE found(room_id, position) AS (
                 SELECT (SELECT room_id FROM events WHERE tenant_id = $1 AND room_id >= $2 ORDER BY room_id LIMIT 1), 1
                 UNION ALL
                 SELECT (SELECT room_id FROM events WHERE tenant_id = $1 AND room_id > found.room_id
                         ORDER BY room_id LIMIT 1), position + 1
                 FROM found WHERE room_id IS NOT NULL AND position < CAST($3 AS bigint))
             SELECT room_id, coalesce((SELECT sequence FROM events WHERE tenant_id = $1 AND room_id = found.room_id
                                       AND sequence < $4 ORDER BY sequence DESC LIMIT 1), 0)
             FROM found WHERE room_id IS NOT NULL";
        let mut found: Vec<Found> = Vec::new();
        let tenant = Parameter::Text(self.tenant.as_str());
        let (exact, ranges) = (self.ids.exact().map(|id| (id, 1)), self.ids.prefixes());
        for (first, count) in exact.chain(ranges.map(|prefix| (prefix, MAX_LOOKED_UP + 1))) {
            let count = Parameter::Integer(count as i64);
            let parameters = [tenant.clone(), Parameter::Text(first), count, Parameter::Integer(number(end))];
            let take = |row: &dyn Row| -> Result<_, StorageError> {
                let room = row.text(0)?;
                if !self.ids.allow(room) || found.len() > MAX_LOOKED_UP {
                    return Ok(ControlFlow::Break(()));
                }
                found.push((room.to_owned(), sequence(row.integer(1)?)));
                Ok(ControlFlow::Continue(()))
            };
            connection.read(sql, &parameters, take).await?;
        }
        let are_all = found.len() <= MAX_LOOKED_UP;
        // Patterns may overlap.
        found.sort_unstable();
        found.dedup();
        Ok(are_all.then_some(found))
    }

    /// The rooms whose last event is among the newest ones before `before`, and where the rest begins.
    async fn among_newest<C: ReadConnection>(
        &self,
        connection: &C,
        mut before: Sequence,
        end: Sequence,
    ) -> Result<(Vec<Found>, Option<Sequence>), StorageError> {
        // With the limit, both databases read the events by their sequence, and not the index by room from its start.
        let sql = format!(
            "SELECT room_id, last FROM (
                 SELECT room_id, max(sequence) AS last FROM (
                     SELECT tenant_id, room_id, sequence FROM events WHERE sequence >= $1 AND sequence < $2
                     ORDER BY sequence LIMIT {SLICE}) AS slice
                 WHERE tenant_id = $3 GROUP BY room_id) AS newest
             WHERE NOT EXISTS (SELECT 1 FROM events AS later WHERE later.tenant_id = $3
                 AND later.room_id = newest.room_id AND later.sequence > newest.last AND later.sequence < $4)"
        );
        let mut found: Vec<Found> = Vec::new();
        for _ in 0..MAX_SLICES {
            let from = Sequence(before.0.saturating_sub(SLICE));
            let [first, last, end] = [from, before, end].map(|bound| Parameter::Integer(number(bound)));
            let parameters = [first, last, Parameter::Text(self.tenant.as_str()), end];
            let take = |row: &dyn Row| -> Result<_, StorageError> {
                let room = row.text(0)?;
                if self.ids.allow(room) {
                    found.push((room.to_owned(), sequence(row.integer(1)?)));
                }
                Ok(ControlFlow::Continue(()))
            };
            connection.read(&sql, &parameters, take).await?;
            before = from;
            if found.len() >= self.limit || before == Sequence::START {
                break;
            }
        }
        Ok((found, (before > Sequence::START).then_some(before)))
    }

    /// What is in these rooms, in this order.
    async fn describe<C: ReadConnection>(
        &self,
        connection: &C,
        found: &[Found],
    ) -> Result<Vec<ActiveRoom>, StorageError> {
        let nothing: Found = (String::new(), Sequence::START);
        let mut parameters: Vec<Parameter<'_>> = Vec::new();
        // The statement is the same for every page, and stays prepared.
        for (room, last) in found.iter().chain(std::iter::repeat(&nothing)).take(MAX_ACTIVE_ROOMS) {
            parameters.extend([Parameter::Text(room), Parameter::Integer(number(*last))]);
        }
        parameters.push(Parameter::Text(self.tenant.as_str()));
        let mut rooms = Vec::new();
        let take = |row: &dyn Row| -> Result<_, StorageError> {
            let room_id =
                RoomId::parse(row.text(0)?).map_err(|why| StorageError::Corrupt(why.to_string()))?;
            rooms.push(ActiveRoom {
                room_id,
                last_sequence: sequence(row.integer(1)?),
                last_event_at: row.timestamp(2)?,
                present: row.integer(3)?.unsigned_abs(),
                open_tasks: row.integer(4)?.unsigned_abs(),
            });
            Ok(ControlFlow::Continue(()))
        };
        connection.read(&description(), &parameters, take).await?;
        Ok(rooms)
    }
}

/// The statement that describes the rooms of a page.
fn description() -> String {
    let mut values = String::new();
    for at in 0..MAX_ACTIVE_ROOMS {
        let separator = if at == 0 { "" } else { ", " };
        let (room, last) = (2 * at + 1, 2 * at + 2);
        let _ = write!(values, "{separator}(CAST(${room} AS text), CAST(${last} AS bigint))");
    }
    let tenant = 2 * MAX_ACTIVE_ROOMS + 1;
    let count = |table: &str, condition: &str| {
        format!(
            "(SELECT count(*) FROM (SELECT 1 FROM {table} WHERE tenant_id = ${tenant}
              AND {table}.room_id = page.room_id AND {condition} LIMIT {MAX_COUNTED}) AS counted)"
        )
    };
    format!(
        "WITH page(room_id, last) AS (VALUES {values})
         SELECT room_id, last, (SELECT at_ms FROM events WHERE sequence = page.last), {}, {}
         FROM page WHERE last > 0 ORDER BY last DESC",
        count("presence", "is_active = 1"),
        count("tasks", "state IN ('open', 'active')"),
    )
}
