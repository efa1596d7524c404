//! Replays rooms from Redis, where the projector keeps them: events that memory does not hold, and rooms while the source
//! is not connected.

use std::sync::Arc;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent};
use agentcafe_redis::stream::{self, StreamedEvent};
use agentcafe_redis::{ConnectionStatus, Keys, RedisConnection, RedisUnavailable, RoomName};
use bytes::Bytes;

use crate::log_mirror::{EventHead, page};
use crate::room_cache::RoomKey;

/// The most events in one read.
const MAX_EVENTS: usize = 1_000;

/// The rooms that the projector keeps in Redis.
#[derive(Clone)]
pub struct ReplayStore {
    connection: Arc<RedisConnection>,
    keys: Keys,
}

/// A room as the projector last wrote it.
pub(crate) struct ReplayedRoom {
    /// The state as JSON.
    pub(crate) state: Bytes,
    /// The last event in the state.
    pub(crate) sequence: Sequence,
    /// The newest matching events up to there, oldest first.
    pub(crate) events: Vec<LoggedEvent>,
    /// Whether older matching events are missing, or may be.
    pub(crate) has_gap: bool,
}

impl ReplayStore {
    /// The rooms under these keys.
    pub fn new(connection: Arc<RedisConnection>, keys: Keys) -> Self {
        Self { connection, keys }
    }

    /// The state of the connection.
    pub(crate) fn status(&self) -> ConnectionStatus {
        self.connection.status()
    }

    /// The page for a query that reads forward from a cursor; none if Redis does not hold everything after the cursor.
    pub(crate) async fn events(
        &self,
        room: &RoomKey,
        query: &EventQuery,
    ) -> Result<Option<EventPage>, RedisUnavailable> {
        let room = RoomName::new(&room.0, &room.1);
        let max = query.limit.min(MAX_EVENTS);
        let kept = stream::after(&self.connection, &self.keys, &room, query.after, max).await?;
        // Read second: the stream is trimmed only at its beginning.
        let oldest = stream::after(&self.connection, &self.keys, &room, Sequence::START, 1).await?;
        let Some(last) = kept.last().map(|event| event.sequence) else { return Ok(None) };
        if oldest.first().is_none_or(|oldest| oldest.sequence > query.after) {
            return Ok(None);
        }
        let events = kept.into_iter().filter_map(|event| matching(event, &query.filter));
        Ok(Some(page(query, events, last)))
    }

    /// A room with the newest `count` matching events after `after`; none if Redis has no state of it.
    pub(crate) async fn room(
        &self,
        room: &RoomKey,
        filter: &EventFilter,
        after: Sequence,
        count: usize,
    ) -> Result<Option<ReplayedRoom>, RedisUnavailable> {
        let room = RoomName::new(&room.0, &room.1);
        let Some(state) = stream::state(&self.connection, &self.keys, &room).await? else { return Ok(None) };
        let kept = stream::newest(&self.connection, &self.keys, &room, MAX_EVENTS).await?;
        let reaches_back = kept.first().is_some_and(|oldest| oldest.sequence <= after);
        let wanted =
            kept.into_iter().filter(|event| event.sequence > after && event.sequence <= state.sequence);
        let mut events: Vec<LoggedEvent> = wanted.filter_map(|event| matching(event, filter)).collect();
        let too_many = events.len().saturating_sub(count);
        events.drain(..too_many);
        let has_gap = too_many > 0 || !reaches_back;
        Ok(Some(ReplayedRoom { state: state.json.into(), sequence: state.sequence, events, has_gap }))
    }
}

/// The event, if it matches the filter; its room is the filter's.
fn matching(StreamedEvent { sequence, json }: StreamedEvent, filter: &EventFilter) -> Option<LoggedEvent> {
    let EventHead { actor_id, kind, .. } = serde_json::from_str(&json).ok()?;
    let matches = filter.actor.as_ref().is_none_or(|actor| *actor == actor_id)
        && filter.types.as_ref().is_none_or(|types| types.contains(&kind));
    matches.then(|| LoggedEvent { sequence, kind, json: json.into() })
}
