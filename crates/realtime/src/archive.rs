//! What the projector keeps of rooms in Redis: replayed where memory does not reach, and while the source is away.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    event::EventType,
    ids::{ActorId, Sequence},
};
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent};
use agentcafe_redis::{
    Away, ConnectionStatus, Keys, RedisConnection, RoomName,
    stream::{self, Kept},
};
use bytes::Bytes;
use serde::Deserialize;

use crate::rooms::RoomKey;

/// The most events that are read at once.
const MAX_EVENTS: usize = 1_000;

/// The rooms that the projector keeps.
#[derive(Clone)]
pub struct Archive {
    connection: Arc<RedisConnection>,
    keys: Keys,
}

/// A room as the projector left it.
pub(crate) struct Left {
    /// What it looked like, as JSON.
    pub(crate) state: Bytes,
    /// The last event that is in the state.
    pub(crate) at: Sequence,
    /// The newest events up to there that match, oldest first.
    pub(crate) events: Vec<LoggedEvent>,
    /// Whether older ones that match were left out, or may have been.
    pub(crate) leaves_out: bool,
}

/// What must be known of an event to pass it on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    actor_id: ActorId,
    #[serde(rename = "type")]
    kind: EventType,
}

impl Archive {
    /// What is kept behind a link, under these names.
    pub fn new(connection: Arc<RedisConnection>, keys: Keys) -> Self {
        Self { connection, keys }
    }

    /// How the link stands.
    pub(crate) fn status(&self) -> ConnectionStatus {
        self.connection.status()
    }

    /// The answer to a query for what comes after a cursor; none if not all of it is kept.
    pub(crate) async fn events(&self, room: &RoomKey, query: &EventQuery) -> Result<Option<EventPage>, Away> {
        let name = RoomName::of(&room.0, &room.1);
        let max = query.limit.min(MAX_EVENTS);
        let kept = stream::after(&self.connection, &self.keys, &name, query.after, max).await?;
        // Asked for second: what is kept is only ever cut off at its beginning.
        let oldest = stream::after(&self.connection, &self.keys, &name, Sequence::START, 1).await?;
        let Some(last) = kept.last().map(|event| event.sequence) else { return Ok(None) };
        if oldest.first().is_none_or(|oldest| oldest.sequence > query.after) {
            return Ok(None);
        }
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in kept.into_iter().filter_map(|event| logged(event, &query.filter)) {
            bytes += event.json.len();
            if bytes > query.max_bytes && !events.is_empty() {
                let scanned_to = events.last().map_or(query.after, |event: &LoggedEvent| event.sequence);
                return Ok(Some(EventPage { events, scanned_to }));
            }
            events.push(event);
        }
        Ok(Some(EventPage { events, scanned_to: last }))
    }

    /// A room as the projector left it, with the newest `count` events that match and come after `after`; none if it keeps
    /// nothing of it.
    pub(crate) async fn left(
        &self,
        room: &RoomKey,
        filter: &EventFilter,
        after: Sequence,
        count: usize,
    ) -> Result<Option<Left>, Away> {
        let name = RoomName::of(&room.0, &room.1);
        let Some(state) = stream::state(&self.connection, &self.keys, &name).await? else { return Ok(None) };
        let kept = stream::newest(&self.connection, &self.keys, &name, MAX_EVENTS).await?;
        let reaches_back = kept.first().is_some_and(|oldest| oldest.sequence <= after);
        let wanted =
            kept.into_iter().filter(|event| event.sequence > after && event.sequence <= state.sequence);
        let mut events: Vec<LoggedEvent> = wanted.filter_map(|event| logged(event, filter)).collect();
        let too_many = events.len().saturating_sub(count);
        events.drain(..too_many);
        let leaves_out = too_many > 0 || !reaches_back;
        Ok(Some(Left { state: state.json.into(), at: state.sequence, events, leaves_out }))
    }
}

/// An event as it goes out, if it passes the filter; the room is the filter's.
fn logged(Kept { sequence, json }: Kept, filter: &EventFilter) -> Option<LoggedEvent> {
    let Head { actor_id, kind } = serde_json::from_str(&json).ok()?;
    let passes = filter.actor.as_ref().is_none_or(|actor| *actor == actor_id)
        && filter.types.as_ref().is_none_or(|types| types.contains(&kind));
    passes.then(|| LoggedEvent { sequence, kind, json: json.into() })
}
