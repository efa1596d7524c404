//! The rooms in memory: those with events, up to a limit. The least recently used are evicted.

use std::sync::Arc;

use agentcafe_domain::kernel::{Event, RoomId, Sequence, StoredEvent, TenantId};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery};
use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;

use crate::room::{ReplayStart, Room, render};

/// The most event JSON of all rooms, in bytes.
const MAX_BYTES: usize = 128 << 20;

pub(crate) type RoomKey = (TenantId, RoomId);

/// The rooms in memory.
pub(crate) struct RoomCache {
    history_limit: usize,
    state: Mutex<CacheState>,
}

struct CacheState {
    /// The most rooms.
    limit: usize,
    rooms: LruCache<RoomKey, Room>,
    bytes: usize,
    /// Everything up to here was applied.
    last: Sequence,
    /// Whether rooms were ever evicted. Before that, a room that is not in the cache has no events.
    has_evicted: bool,
}

/// Keeps a room from being evicted while it is loaded.
pub(crate) struct LoadGuard<'a> {
    rooms: &'a RoomCache,
    key: RoomKey,
}

impl Drop for LoadGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.rooms.state.lock();
        if let Some(room) = state.rooms.peek_mut(&self.key) {
            room.is_loading = false;
        }
        state.evict();
    }
}

impl RoomCache {
    /// An empty cache for at most `limit` rooms, with at most `history_limit` events each.
    pub(crate) fn new(limit: usize, history_limit: usize) -> Self {
        let (rooms, last) = (LruCache::unbounded(), Sequence::START);
        let state = CacheState { limit, rooms, bytes: 0, last, has_evicted: false };
        Self { history_limit, state: Mutex::new(state) }
    }

    /// Applies an event to its room.
    pub(crate) fn apply(&self, event: &Event, stored: Arc<StoredEvent>) {
        let mut state = self.state.lock();
        state.last = event.sequence;
        let CacheState { has_evicted, rooms, bytes, .. } = &mut *state;
        let (tenant, room) = (&event.tenant_id, &event.room_id);
        let room = rooms.get_or_insert_mut((tenant.clone(), room.clone()), || {
            if *has_evicted {
                Room::new(None, Sequence(event.sequence.0.saturating_sub(1)))
            } else {
                Room::new(Some(RoomProjection::new(tenant.clone(), room.clone())), Sequence::START)
            }
        });
        let before = room.bytes;
        room.apply(event, stored, self.history_limit);
        *bytes = *bytes + room.bytes - before;
        state.evict();
    }

    /// The state of a room as JSON, and its last event; none if the room must be loaded.
    pub(crate) fn state(&self, key: &RoomKey) -> Option<(Bytes, Sequence)> {
        let CacheState { rooms, has_evicted, .. } = &mut *self.state.lock();
        match rooms.get_mut(key) {
            Some(room) => Some((room.state()?, room.last)),
            None if *has_evicted => None,
            None => Some((render(&RoomProjection::new(key.0.clone(), key.1.clone())), Sequence::START)),
        }
    }

    /// Keeps a room and its new events in memory until the guard is dropped, so that its state can be loaded and
    /// [adopted](RoomCache::adopt).
    pub(crate) fn begin_loading(&self, key: &RoomKey) -> LoadGuard<'_> {
        let mut state = self.state.lock();
        let last = state.last;
        state.rooms.get_or_insert_mut(key.clone(), || Room::new(None, last)).is_loading = true;
        LoadGuard { rooms: self, key: key.clone() }
    }

    /// Adopts a loaded state, as [`Room::adopt`]; `false` if memory does not hold all events since then.
    pub(crate) fn adopt(
        &self,
        key: &RoomKey,
        projection: RoomProjection,
        last: Sequence,
        scanned_to: Sequence,
    ) -> bool {
        let mut state = self.state.lock();
        state.rooms.get_mut(key).is_some_and(|room| room.adopt(projection, last, scanned_to))
    }

    /// The page for a query about a room; none if memory does not hold everything that it examines. `head`: everything up to
    /// there was applied before this is called.
    pub(crate) fn read(&self, key: &RoomKey, query: &EventQuery, head: Sequence) -> Option<EventPage> {
        let state = self.state.lock();
        match state.rooms.peek(key) {
            Some(room) => room.read(query, head),
            None if state.has_evicted => None,
            None => Some(EventPage::empty(head.max(query.after))),
        }
    }

    /// Where the newest `count` matching events of a room after `after` begin; none if memory does not hold all of them.
    pub(crate) fn newest(
        &self,
        key: &RoomKey,
        filter: &EventFilter,
        after: Sequence,
        count: usize,
    ) -> Option<ReplayStart> {
        let state = self.state.lock();
        match state.rooms.peek(key) {
            Some(room) => room.newest(filter, after, count),
            None => (!state.has_evicted).then_some(ReplayStart { after, has_gap: false }),
        }
    }

    /// Memory holds every event of the room after this one; none if the room is not in the cache.
    pub(crate) fn complete_after(&self, key: &RoomKey) -> Option<Sequence> {
        self.state.lock().rooms.peek(key).map(|room| room.complete_after)
    }
}

impl CacheState {
    /// Evicts the least recently used rooms while a limit is exceeded. A room that is being loaded stays, and so does the most
    /// recently used one, whatever its size.
    fn evict(&mut self) {
        while self.rooms.len() > 1 && (self.rooms.len() > self.limit || self.bytes > MAX_BYTES) {
            let Some((key, room)) = self.rooms.pop_lru() else { return };
            if room.is_loading {
                // Only one room is loaded at a time, so the next one is evicted.
                self.rooms.put(key, room);
            } else {
                self.bytes -= room.bytes;
                self.has_evicted = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::tests::event;

    fn key(room: &str) -> RoomKey {
        (TenantId::default(), RoomId::parse(room).unwrap())
    }

    fn append(rooms: &RoomCache, sequence: u64, room: &str) -> Event {
        let (event, stored) = event(sequence, room, "Nova");
        rooms.apply(&event, stored);
        event
    }

    fn is_known(rooms: &RoomCache, room: &str) -> bool {
        rooms.state(&key(room)).is_some()
    }

    /// Rooms without events, whose names clients invent, are not kept.
    #[test]
    fn room_cache_evicts_the_least_recently_used() {
        let rooms = RoomCache::new(3, 10);
        assert!(is_known(&rooms, "invented") && rooms.state.lock().rooms.is_empty());
        for (sequence, room) in [(1, "a"), (2, "b"), (3, "c")] {
            append(&rooms, sequence, room);
        }
        assert!(is_known(&rooms, "a"));
        append(&rooms, 4, "d");
        let known = ["a", "b", "c", "d", "invented"].map(|room| is_known(&rooms, room));
        assert_eq!(known, [true, false, true, true, false]);
    }

    /// A room that is being loaded is not evicted, and has the events since the loading began.
    #[test]
    fn room_cache_loading_misses_no_event() {
        let rooms = RoomCache::new(2, 10);
        let mut projection = RoomProjection::new(key("a").0, key("a").1);
        projection.apply(&append(&rooms, 1, "a"));
        for (sequence, room) in [(2, "b"), (3, "c"), (4, "d")] {
            append(&rooms, sequence, room);
        }
        assert!(!is_known(&rooms, "a"));
        let guard = rooms.begin_loading(&key("a"));
        projection.apply(&append(&rooms, 5, "a"));
        for (sequence, room) in [(6, "b"), (7, "c"), (8, "d"), (9, "a")] {
            append(&rooms, sequence, room);
        }
        assert!(rooms.adopt(&key("a"), projection, Sequence(5), Sequence(5)));
        drop(guard);
        let (state, last) = rooms.state(&key("a")).unwrap();
        let state = String::from_utf8(state.to_vec()).unwrap();
        assert!(state.contains(r#""lastEventId":"0196a000-0000-7000-8000-000000000009""#), "{state}");
        assert_eq!(last, Sequence(9));
    }
}
