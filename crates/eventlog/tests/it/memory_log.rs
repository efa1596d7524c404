//! A log in memory that reads and publishes like the store, and filters of every kind.

use std::sync::{Arc, Mutex};

use agentcafe_domain::kernel::{ActorId, EventType, RoomId, Sequence, StoredEvent, TenantId, Timestamp};
use agentcafe_eventlog::{
    EventFilter, EventPage, EventQuery, Log, LoggedEvent, PageFuture, ReadError, RecentEvents,
};
use bytes::Bytes;
use uuid::Uuid;

/// Appended events are stored first and published then, as by the store's writer.
pub(crate) struct MemoryLog {
    stored: Mutex<Vec<StoredEvent>>,
    recent_events: RecentEvents,
}

impl Log for MemoryLog {
    fn recent_events(&self) -> &RecentEvents {
        &self.recent_events
    }

    fn read_older(&self, query: EventQuery) -> PageFuture<'_> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.read(&query)
        })
    }
}

impl MemoryLog {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { stored: Mutex::default(), recent_events: RecentEvents::new(Sequence::START) })
    }

    /// The same log after a restart: nothing is left in the recent events.
    pub(crate) fn reopen(&self) -> Arc<Self> {
        let stored = Mutex::new(self.stored.lock().unwrap().clone());
        Arc::new(Self { stored, recent_events: RecentEvents::new(self.head()) })
    }

    pub(crate) fn head(&self) -> Sequence {
        self.recent_events.head()
    }

    /// Appends an event whose JSON has `bytes` bytes; every fourth is of another type, every fifth mentions Kai.
    pub(crate) fn append(&self, room: &str, actor: &str, bytes: usize) -> Sequence {
        let mut stored = self.stored.lock().unwrap();
        let sequence = Sequence(stored.len() as u64 + 1);
        let number = sequence.0;
        let event = StoredEvent {
            sequence,
            event_id: Uuid::from_u128(u128::from(number)),
            tenant_id: TenantId::default(),
            room_id: RoomId::parse(room).unwrap(),
            actor_id: ActorId::parse(actor).unwrap(),
            kind: if number.is_multiple_of(4) { EventType::OrderChanged } else { EventType::BubblePosted },
            timestamp: Timestamp::from_millis(1_790_000_000_000),
            mentioned: number.is_multiple_of(5).then(|| ActorId::parse("Kai").unwrap()),
            json: Bytes::from("x".repeat(bytes)),
        };
        stored.push(event.clone());
        assert!(self.recent_events.publish(vec![event]));
        sequence
    }

    /// Appends `count` events by three actors in three rooms.
    pub(crate) fn append_many(&self, count: usize, bytes: usize) {
        for number in 0..count {
            self.append(&format!("room-{}", number % 3), &format!("actor-{}", number / 3 % 3), bytes);
        }
    }

    /// All events after a cursor that match.
    pub(crate) fn matching(&self, filter: &EventFilter, after: Sequence) -> Vec<LoggedEvent> {
        let whole = EventQuery::after(filter.clone(), after, usize::MAX);
        self.read(&EventQuery { max_bytes: usize::MAX, ..whole }).unwrap().events
    }

    fn read(&self, query: &EventQuery) -> Result<EventPage, ReadError> {
        let stored = self.stored.lock().unwrap();
        let mut page = EventPage::empty(query.after);
        let mut bytes = 0;
        for event in stored.iter().filter(|event| event.sequence > query.after) {
            if query.filter.matches(event) {
                bytes += event.json.len();
                if page.events.len() == query.limit || bytes > query.max_bytes && !page.events.is_empty() {
                    break;
                }
                page.events.push(LoggedEvent::from(event));
            }
            page.scanned_to = event.sequence;
        }
        Ok(page)
    }
}

/// Filters of every kind: of one room, which are woken by that room, and others, which are woken by every event.
pub(crate) fn filters() -> Vec<EventFilter> {
    let tenant = Some(TenantId::default());
    let room = |name| Some(RoomId::parse(name).unwrap());
    let actor = |name| Some(ActorId::parse(name).unwrap());
    let all = EventFilter::default;
    vec![
        all(),
        EventFilter { tenant: tenant.clone(), ..all() },
        EventFilter { tenant: tenant.clone(), room: room("room-1"), ..all() },
        EventFilter { tenant: tenant.clone(), room: room("room-2"), actor: actor("actor-1"), ..all() },
        EventFilter { room: room("room-1"), ..all() },
        EventFilter { actor: actor("actor-2"), ..all() },
        EventFilter { mentioned: actor("Kai"), ..all() },
        EventFilter { tenant, room: room("room-0"), types: Some(vec![EventType::OrderChanged]), ..all() },
        EventFilter { types: Some(vec![EventType::OrderChanged, EventType::AgentLeft]), ..all() },
    ]
}
