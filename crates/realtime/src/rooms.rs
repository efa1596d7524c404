//! The rooms in memory: those in which something happened, as many as there is room for.

use std::{collections::HashMap, sync::Arc};

use agentcafe_domain::{
    kernel::{
        event::{Event, StoredEvent},
        ids::{RoomId, Sequence, TenantId},
    },
    projection::RoomProjection,
};
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::room::{Beginning, Room, rendered};

/// The most event JSON that is kept of all rooms, in bytes.
const MAX_BYTES: usize = 128 << 20;

pub(crate) type RoomKey = (TenantId, RoomId);

/// What is known of a room's state.
pub(crate) enum State {
    /// The state as JSON, and the last event of the room that is in it.
    Known(Bytes, Sequence),
    /// It was forgotten, and must be read again.
    Forgotten,
}

/// What is known of something else about a room.
pub(crate) enum Known<T> {
    /// This.
    This(T),
    /// Not enough is kept.
    NotKept,
}

/// The rooms in memory.
pub(crate) struct Rooms {
    history_limit: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    /// The most rooms.
    limit: usize,
    rooms: HashMap<RoomKey, Room>,
    bytes: usize,
    uses: u64,
    /// Everything up to here was taken in.
    last: Sequence,
    /// How often rooms were forgotten. While it is 0, a room that is not here is one in which nothing happened.
    forgotten: u64,
}

/// A room that is not forgotten, because it is read.
pub(crate) struct Reading<'a> {
    rooms: &'a Rooms,
    key: RoomKey,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut kept = self.rooms.kept.lock();
        if let Some(room) = kept.rooms.get_mut(&self.key) {
            room.is_read = false;
        }
        kept.forget();
    }
}

impl Rooms {
    /// No rooms yet: at most `limit` of them, with at most `history_limit` events each.
    pub(crate) fn new(limit: usize, history_limit: usize) -> Self {
        let kept =
            Kept { limit, rooms: HashMap::new(), bytes: 0, uses: 0, last: Sequence::START, forgotten: 0 };
        Self { history_limit, kept: Mutex::new(kept) }
    }

    /// Takes in an event.
    pub(crate) fn take(&self, event: &Event, stored: Arc<StoredEvent>) {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        kept.last = event.sequence;
        let Kept { uses, forgotten, rooms, bytes, .. } = &mut *kept;
        let key = (event.tenant_id.clone(), event.room_id.clone());
        let room = rooms.entry(key).or_insert_with_key(|(tenant, room)| {
            if *forgotten == 0 {
                Room::new(Some(RoomProjection::new(tenant.clone(), room.clone())), Sequence::START)
            } else {
                Room::new(None, Sequence(event.sequence.0.saturating_sub(1)))
            }
        });
        let before = room.bytes;
        room.take(event, stored, self.history_limit);
        room.used_at = *uses;
        *bytes = *bytes + room.bytes - before;
        kept.forget();
    }

    /// What a room looks like.
    pub(crate) fn state(&self, key: &RoomKey) -> State {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let (uses, forgotten) = (kept.uses, kept.forgotten);
        match kept.rooms.get_mut(key) {
            Some(room) => {
                room.used_at = uses;
                let last = room.last();
                room.state().map_or(State::Forgotten, |state| State::Known(state, last))
            }
            None if forgotten == 0 => {
                State::Known(rendered(&RoomProjection::new(key.0.clone(), key.1.clone())), Sequence::START)
            }
            None => State::Forgotten,
        }
    }

    /// Keeps what happens in a room from now on, until its state is [adopted](Rooms::adopt) or the reading given up.
    pub(crate) fn begin_reading(&self, key: &RoomKey) -> Reading<'_> {
        let mut kept = self.kept.lock();
        let last = kept.last;
        let room = kept.rooms.entry(key.clone()).or_insert_with(|| Room::new(None, last));
        room.is_read = true;
        Reading { rooms: self, key: key.clone() }
    }

    /// Takes over a state that was read: it ends with the room's event `last`, and the log was read up to `scanned_to`. `false` if
    /// more has happened since than is kept.
    pub(crate) fn adopt(
        &self,
        key: &RoomKey,
        projection: RoomProjection,
        last: Sequence,
        scanned_to: Sequence,
    ) -> bool {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let uses = kept.uses;
        let Some(room) = kept.rooms.get_mut(key) else { return false };
        room.used_at = uses;
        room.adopt(projection, last, scanned_to)
    }

    /// The answer to a query about a room. `head`: everything up to there was taken in before this is called.
    pub(crate) fn read(&self, key: &RoomKey, query: &EventQuery, head: Sequence) -> Known<EventPage> {
        let kept = self.kept.lock();
        let page = match kept.rooms.get(key) {
            Some(room) => room.read(query, head),
            None if kept.forgotten == 0 => {
                Some(EventPage { events: Vec::new(), scanned_to: head.max(query.after) })
            }
            None => None,
        };
        page.map_or(Known::NotKept, Known::This)
    }

    /// Where the newest `count` events of a room begin, of those that match and come after `after`.
    pub(crate) fn newest(
        &self,
        key: &RoomKey,
        filter: &EventFilter,
        after: Sequence,
        count: usize,
    ) -> Known<Beginning> {
        let kept = self.kept.lock();
        let beginning = match kept.rooms.get(key) {
            Some(room) => room.newest(filter, after, count),
            None => (kept.forgotten == 0).then_some(Beginning { after, leaves_out: false }),
        };
        beginning.map_or(Known::NotKept, Known::This)
    }
}

impl Rooms {
    /// Behind which place all that happened in a room is kept, if it is kept at all.
    pub(crate) fn complete_after(&self, key: &RoomKey) -> Option<Sequence> {
        self.kept.lock().rooms.get(key).map(Room::complete_after)
    }
}

impl Kept {
    /// If there is too much, forgets what was not of use for longest: more than needed, so that it is seldom done.
    fn forget(&mut self) {
        if self.rooms.len() <= self.limit && self.bytes <= MAX_BYTES {
            return;
        }
        let mut by_use: Vec<(u64, RoomKey)> = self
            .rooms
            .iter()
            .filter(|(_, room)| !room.is_read)
            .map(|(key, room)| (room.used_at, key.clone()))
            .collect();
        by_use.sort_unstable_by_key(|(used_at, _)| *used_at);
        // The newest stays, whatever its size.
        by_use.pop();
        for (_, key) in by_use {
            if self.rooms.len() <= self.limit * 9 / 10 && self.bytes <= MAX_BYTES * 9 / 10 {
                break;
            }
            if let Some(room) = self.rooms.remove(&key) {
                self.bytes -= room.bytes;
            }
        }
        self.forgotten += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(room: &str) -> RoomKey {
        (TenantId::default(), RoomId::parse(room).unwrap())
    }

    fn happen(rooms: &Rooms, sequence: u64, room: &str) -> Event {
        let json = format!(
            r#"{{"sequence":{sequence},"eventId":"0196a000-0000-7000-8000-{sequence:012}","tenantId":"default","roomId":"{room}","actorId":"Nova","type":"agent_entered","timestamp":"2026-01-02T03:04:05.678Z","payload":{{}},"correlationId":null,"causationId":null}}"#
        );
        let event: Event = serde_json::from_str(&json).unwrap();
        rooms.take(&event, Arc::new(StoredEvent::of(&event, json.into())));
        event
    }

    fn is_known(rooms: &Rooms, room: &str) -> bool {
        matches!(rooms.state(&key(room)), State::Known(..))
    }

    /// RULINGS M5: what was not of use for longest is forgotten, and known to be; names that clients invent are not kept.
    #[test]
    fn what_was_not_of_use_is_forgotten() {
        let rooms = Rooms::new(3, 10);
        assert!(is_known(&rooms, "invented") && rooms.kept.lock().rooms.is_empty());
        for (sequence, room) in [(1, "a"), (2, "b"), (3, "c")] {
            happen(&rooms, sequence, room);
        }
        assert!(is_known(&rooms, "a"));
        happen(&rooms, 4, "d");
        let known = ["a", "b", "c", "d", "invented"].map(|room| is_known(&rooms, room));
        assert_eq!(known, [true, false, false, true, false]);
    }

    /// A room that is read again is not forgotten meanwhile, and has what happened in it since the reading began.
    #[test]
    fn a_reading_misses_nothing() {
        let rooms = Rooms::new(2, 10);
        let mut projection = RoomProjection::new(key("a").0, key("a").1);
        projection.apply(&happen(&rooms, 1, "a"));
        for (sequence, room) in [(2, "b"), (3, "c"), (4, "d")] {
            happen(&rooms, sequence, room);
        }
        assert!(!is_known(&rooms, "a"));
        let reading = rooms.begin_reading(&key("a"));
        projection.apply(&happen(&rooms, 5, "a"));
        for (sequence, room) in [(6, "b"), (7, "c"), (8, "d"), (9, "a")] {
            happen(&rooms, sequence, room);
        }
        assert!(rooms.adopt(&key("a"), projection, Sequence(5), Sequence(5)));
        drop(reading);
        let State::Known(state, last) = rooms.state(&key("a")) else { panic!("it is known now") };
        let state = String::from_utf8(state.to_vec()).unwrap();
        assert!(state.contains(r#""lastEventId":"0196a000-0000-7000-8000-000000000009""#), "{state}");
        assert_eq!(last, Sequence(9));
    }
}
