//! The newest events in memory, and the wake-ups of the followers that wait for more.
//!
//! Followers near the head read from here and never touch the database. A follower that falls behind the buffer reads
//! the database instead, so slow readers cost no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agentcafe_domain::kernel::{RoomId, Sequence, StoredEvent, TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::query::{Cut, EventFilter, EventPage, EventQuery, LoggedEvent, PageBuilder};

/// The most event JSON in the buffer, in bytes.
pub const MAX_RECENT_BYTES: usize = 8 << 20;
/// The most events that one read examines, so that no reader holds the lock for long.
const MAX_SCANNED: usize = 4_096;

type RoomKey = (TenantId, RoomId);

/// The notification that events were published which may match a follower's filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The last event that may match.
    pub last: Sequence,
    /// `last` before the newest publication. A follower that has scanned to here can skip to `base`.
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

    /// Where a follower that has scanned to `scanned_to` continues.
    pub fn resume(&self, scanned_to: Sequence) -> Sequence {
        if scanned_to >= self.previous { scanned_to.max(self.base) } else { scanned_to }
    }
}

#[derive(Default)]
struct EventRing {
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
    /// Every event after this one is in the buffer.
    complete_after: Sequence,
}

impl EventRing {
    fn last_sequence(&self) -> Sequence {
        self.events.back().map_or(self.complete_after, |event| event.sequence)
    }
}

/// A bounded buffer of the newest events, and the channels that wake followers.
pub struct RecentEvents {
    ring: RwLock<EventRing>,
    head: watch::Sender<Watermark>,
    rooms: Mutex<RoomChannels>,
    /// Serialises publications: the rooms and the head are notified of one before the next begins.
    publishing: Mutex<()>,
}

#[derive(Default)]
struct RoomChannels {
    channels: HashMap<RoomKey, watch::Sender<Watermark>>,
    clean_at: usize,
}

impl RoomChannels {
    /// Drops channels without receivers, each time their number has doubled.
    fn clean(&mut self) {
        if self.channels.len() >= self.clean_at {
            self.channels.retain(|_, sender| sender.receiver_count() > 0);
            self.clean_at = (self.channels.len() * 2).max(1_024);
        }
    }
}

impl RecentEvents {
    /// An empty buffer for a log whose last event is `head`.
    pub fn new(head: Sequence) -> Self {
        Self {
            ring: RwLock::new(EventRing { complete_after: head, ..EventRing::default() }),
            head: watch::Sender::new(Watermark::at(head)),
            rooms: Mutex::default(),
            publishing: Mutex::default(),
        }
    }

    /// The last committed event. Everything up to here can be read, and its followers were notified.
    pub fn head(&self) -> Sequence {
        self.head.borrow().last
    }

    /// The time of the newest event; none if none was published since the log was opened.
    pub fn newest_at(&self) -> Option<Timestamp> {
        self.ring.read().events.back().map(|event| event.timestamp)
    }

    /// The last event in the buffer; while events are being published, it may be ahead of [`Self::head`].
    pub fn last_sequence(&self) -> Sequence {
        self.ring.read().last_sequence()
    }

    /// Empties the buffer and continues after `head`. All followers wake and read the log.
    pub fn reset_to(&self, head: Sequence) {
        let _publishing = self.publishing.lock();
        *self.ring.write() = EventRing { complete_after: head, ..EventRing::default() };
        let watermark = Watermark { last: head, previous: Sequence::START, base: Sequence::START };
        self.rooms.lock().channels.values().for_each(|channel| {
            channel.send_replace(watermark);
        });
        self.head.send_replace(watermark);
    }

    /// Appends committed events, in order, and wakes the followers: those of rooms first, those of the whole log last.
    /// Events that were appended before are ignored. `false`, and nothing is appended, if events in between are missing.
    pub fn publish(&self, mut events: Vec<StoredEvent>) -> bool {
        let _publishing = self.publishing.lock();
        let known = self.last_sequence();
        events.retain(|event| event.sequence > known);
        let Some(last) = events.last().map(|event| event.sequence) else { return true };
        if events[0].sequence != known.next() {
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
            if let Some(channel) = rooms.channels.get(&room) {
                channel.send_modify(|watermark| *watermark = watermark.followed_by(sequence, base));
            }
        }
        drop(rooms);
        self.head.send_modify(|watermark| *watermark = watermark.followed_by(last, base));
        true
    }

    /// Notifies whenever a new event may match the filter: any event of its room, or any event if it names no room.
    pub fn subscribe(&self, filter: &EventFilter) -> watch::Receiver<Watermark> {
        let (Some(tenant), Some(room)) = (&filter.tenant, &filter.room) else { return self.head.subscribe() };
        let mut rooms = self.rooms.lock();
        rooms.clean();
        // Starts at the buffer's last event, not at the head: while events are being published the head is behind, and the
        // notification of those already in the buffer may have passed this room, which had no channel.
        let open = || watch::Sender::new(Watermark::at(self.ring.read().last_sequence()));
        rooms.channels.entry((tenant.clone(), room.clone())).or_insert_with(open).subscribe()
    }

    /// The events with these sequences, in this order, if all of them are in the buffer; after the first, only as many as
    /// `max_bytes` of JSON hold.
    pub fn at(&self, sequences: &[Sequence], max_bytes: usize) -> Option<Vec<LoggedEvent>> {
        let ring = self.ring.read();
        let mut bytes = 0;
        let mut found = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let at = ring.events.binary_search_by_key(sequence, |event| event.sequence).ok()?;
            let event = LoggedEvent::from(ring.events[at].as_ref());
            bytes += event.json.len();
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(event);
        }
        Some(found)
    }

    /// The page for a query that reads forward from a cursor, if everything after the cursor is in the buffer.
    pub fn read(&self, query: &EventQuery) -> Option<EventPage> {
        let EventQuery { filter, after, .. } = query;
        let reads_forward =
            !query.descending && query.before.is_none() && query.from.is_none() && query.to.is_none();
        let ring = self.ring.read();
        if !reads_forward || *after < ring.complete_after {
            return None;
        }
        let start = ring.events.partition_point(|event| event.sequence <= *after);
        let mut builder = PageBuilder::new(query);
        for (examined, event) in ring.events.iter().skip(start).enumerate() {
            if examined == MAX_SCANNED || builder.has_all_events() {
                builder.page.cut = Some(if builder.has_all_events() { Cut::Size } else { Cut::Scan });
                break;
            }
            if !filter.matches(event) {
                builder.page.scanned_to = event.sequence;
                continue;
            }
            let read = || LoggedEvent::from(event.as_ref());
            if builder.add(event.sequence, event.json.len(), read).is_break() {
                break;
            }
        }
        Some(builder.page)
    }
}
