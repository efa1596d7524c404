//! The newest events in memory, and the wake-ups of those who wait for more.
//!
//! Followers near the head read from here and never touch the database. One that falls behind what is kept reads
//! the log instead: slow readers cost no memory.

use std::{collections::HashMap, collections::VecDeque, sync::Arc};

use agentcafe_domain::kernel::{
    event::StoredEvent,
    ids::{RoomId, Sequence, TenantId},
    time::Timestamp,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::event_query::{EventFilter, EventPage, EventQuery, LoggedEvent};

/// How much event JSON is kept in memory, in bytes.
pub const MAX_RECENT_BYTES: usize = 8 << 20;
/// The most events that one read of the tail looks at, so that none holds the others up.
const MAX_SCANNED: usize = 4_096;

type RoomKey = (TenantId, RoomId);

/// What a waiting follower is told when something was published that may concern it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The last event that may concern it.
    pub last: Sequence,
    /// The one before the newest publication. Whoever has examined this need not look before `base`.
    previous: Sequence,
    /// The head of the log before the newest publication.
    base: Sequence,
}

impl Watermark {
    fn at(head: Sequence) -> Self {
        Self { last: head, previous: head, base: head }
    }

    fn followed_by(self, last: Sequence, base: Sequence) -> Self {
        Self { last, previous: self.last, base }
    }

    /// Where a follower that has examined everything up to `scanned_to` can go on.
    pub fn resume(&self, scanned_to: Sequence) -> Sequence {
        if scanned_to >= self.previous { scanned_to.max(self.base) } else { scanned_to }
    }
}

#[derive(Default)]
struct EventRing {
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
    /// Everything after this and up to the head is here.
    complete_after: Sequence,
}

impl EventRing {
    fn newest(&self) -> Sequence {
        self.events.back().map_or(self.complete_after, |event| event.sequence)
    }
}

/// The newest events, and who waits for the next ones.
pub struct RecentEvents {
    ring: RwLock<EventRing>,
    head: watch::Sender<Watermark>,
    rooms: Mutex<Rooms>,
    /// Held while something is published: rooms and head are told of one publication before the next.
    publishing: Mutex<()>,
}

#[derive(Default)]
struct Rooms {
    waiting: HashMap<RoomKey, watch::Sender<Watermark>>,
    clean_at: usize,
}

impl Rooms {
    /// Forgets rooms that nobody waits for any more, each time their number has doubled.
    fn clean(&mut self) {
        if self.waiting.len() >= self.clean_at {
            self.waiting.retain(|_, sender| sender.receiver_count() > 0);
            self.clean_at = (self.waiting.len() * 2).max(1_024);
        }
    }
}

impl RecentEvents {
    /// An empty tail behind `head`.
    pub fn new(head: Sequence) -> Self {
        Self {
            ring: RwLock::new(EventRing { complete_after: head, ..EventRing::default() }),
            head: watch::Sender::new(Watermark::at(head)),
            rooms: Mutex::default(),
            publishing: Mutex::default(),
        }
    }

    /// The last committed event's place. Whatever it covers can be read, and every follower it concerns was told.
    pub fn head(&self) -> Sequence {
        self.head.borrow().last
    }

    /// When the newest event happened, if any happened since the store was opened.
    pub fn newest_at(&self) -> Option<Timestamp> {
        self.ring.read().events.back().map(|event| event.timestamp)
    }

    /// The newest event that is here.
    pub(crate) fn newest(&self) -> Sequence {
        self.ring.read().newest()
    }

    /// Gives up what is here and begins anew behind `head`: everybody who waits looks into the log.
    pub fn skip_to(&self, head: Sequence) {
        let _publishing = self.publishing.lock();
        *self.ring.write() = EventRing { complete_after: head, ..EventRing::default() };
        let watermark = Watermark { last: head, previous: Sequence::START, base: Sequence::START };
        self.rooms.lock().waiting.values().for_each(|waiting| {
            waiting.send_replace(watermark);
        });
        self.head.send_replace(watermark);
    }

    /// Takes in what was committed, in order, and wakes those who wait for it: rooms first, the head last. What is here
    /// already is left out. `false`, and nothing is taken in, if something is missing in between.
    pub fn publish(&self, mut events: Vec<StoredEvent>) -> bool {
        let _publishing = self.publishing.lock();
        let newest = self.newest();
        events.retain(|event| event.sequence > newest);
        let Some(last) = events.last().map(|event| event.sequence) else { return true };
        if events[0].sequence != newest.next() {
            return false;
        }
        let mut touched: HashMap<RoomKey, Sequence> = HashMap::new();
        {
            let mut ring = self.ring.write();
            for event in events {
                touched.insert((event.tenant_id.clone(), event.room_id.clone()), event.sequence);
                ring.bytes += event.json.len();
                ring.events.push_back(Arc::new(event));
            }
            while ring.bytes > MAX_RECENT_BYTES
                && let Some(oldest) = ring.events.pop_front()
            {
                ring.bytes -= oldest.json.len();
                ring.complete_after = oldest.sequence;
            }
        }
        let base = self.head();
        let rooms = self.rooms.lock();
        for (room, sequence) in touched {
            if let Some(waiting) = rooms.waiting.get(&room) {
                waiting.send_modify(|watermark| *watermark = watermark.followed_by(sequence, base));
            }
        }
        drop(rooms);
        self.head.send_modify(|watermark| *watermark = watermark.followed_by(last, base));
        true
    }

    /// Tells when something may match the filter: whenever something happens in its room, or anywhere if it names none.
    pub fn wake(&self, filter: &EventFilter) -> watch::Receiver<Watermark> {
        let (Some(tenant), Some(room)) = (&filter.tenant, &filter.room) else { return self.head.subscribe() };
        let mut rooms = self.rooms.lock();
        rooms.clean();
        // Not the head, which is behind while events are published: what is in memory already was told to the rooms that
        // had somebody waiting, and this one had nobody.
        let begin = || watch::Sender::new(Watermark::at(self.ring.read().newest()));
        rooms.waiting.entry((tenant.clone(), room.clone())).or_insert_with(begin).subscribe()
    }

    /// The answer to a query, if all that it looks at is here: only for what comes after a cursor, oldest first.
    pub fn read(&self, query: &EventQuery) -> Option<EventPage> {
        let EventQuery { filter, after, limit, max_bytes, .. } = query;
        let plain = !query.descending && query.before.is_none() && query.from.is_none() && query.to.is_none();
        let ring = self.ring.read();
        if !plain || *after < ring.complete_after {
            return None;
        }
        let start = ring.events.partition_point(|event| event.sequence <= *after);
        let mut page = EventPage { events: Vec::new(), scanned_to: *after };
        let mut bytes = 0;
        for event in ring.events.iter().skip(start).take(MAX_SCANNED) {
            if page.events.len() == *limit {
                break;
            }
            if filter.matches(event) {
                bytes += event.json.len();
                if bytes > *max_bytes && !page.events.is_empty() {
                    break;
                }
                page.events.push(LoggedEvent::from(event.as_ref()));
            }
            page.scanned_to = event.sequence;
        }
        Some(page)
    }
}
