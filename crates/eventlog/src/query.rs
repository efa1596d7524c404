//! Queries to the event log, and the pages that answer them.

use std::fmt;
use std::ops::ControlFlow;

use agentcafe_domain::kernel::{
    ActorId, Code, DomainError, EventType, OperationError, RoomId, Sequence, StoredEvent, TenantId, Timestamp,
};
use bytes::Bytes;

/// The most event JSON in a page, in bytes; a page holds at least one event, whatever its size.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// Selects events; a field that is not set matches every event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventFilter {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only in this room.
    pub room: Option<RoomId>,
    /// Only by this actor.
    pub actor: Option<ActorId>,
    /// Only mentions of this actor.
    pub mentioned: Option<ActorId>,
    /// Only of these types. `None` matches all, an empty list matches nothing.
    pub types: Option<Vec<EventType>>,
}

impl EventFilter {
    /// Whether the event matches.
    pub fn matches(&self, event: &StoredEvent) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == event.tenant_id)
            && self.room.as_ref().is_none_or(|room| *room == event.room_id)
            && self.actor.as_ref().is_none_or(|actor| *actor == event.actor_id)
            && self.mentioned.as_ref().is_none_or(|actor| Some(actor) == event.mentioned.as_ref())
            && self.types.as_ref().is_none_or(|types| types.contains(&event.kind))
    }
}

/// Asks for a page of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Which events.
    pub filter: EventFilter,
    /// Only after this one.
    pub after: Sequence,
    /// Only before this one.
    pub before: Option<Sequence>,
    /// Only at or after this time.
    pub from: Option<Timestamp>,
    /// Only at or before this time.
    pub to: Option<Timestamp>,
    /// Newest first.
    pub descending: bool,
    /// The most events that are returned.
    pub limit: usize,
    /// The most event JSON in the page, in bytes; the first event is part of it whatever its size.
    pub max_bytes: usize,
    /// The most event JSON that is returned, in bytes. What is part of the page, but not returned, is named.
    pub max_held_bytes: usize,
}

impl EventQuery {
    /// The events after a cursor, oldest first.
    pub fn after(filter: EventFilter, after: Sequence, limit: usize) -> Self {
        Self {
            filter,
            after,
            before: None,
            from: None,
            to: None,
            descending: false,
            limit,
            max_bytes: MAX_PAGE_BYTES,
            max_held_bytes: usize::MAX,
        }
    }

    /// The same query, which returns at most `max_held_bytes` of event JSON.
    pub fn holding(self, max_held_bytes: usize) -> Self {
        Self { max_held_bytes, ..self }
    }

    /// The newest events first.
    pub fn newest(filter: EventFilter, limit: usize) -> Self {
        Self { descending: true, ..Self::after(filter, Sequence::START, limit) }
    }
}

/// An event as readers receive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its position in the log.
    pub sequence: Sequence,
    /// Its type.
    pub kind: EventType,
    /// The whole event as JSON on one line.
    pub json: Bytes,
}

impl From<&StoredEvent> for LoggedEvent {
    fn from(event: &StoredEvent) -> Self {
        Self { sequence: event.sequence, kind: event.kind, json: event.json.clone() }
    }
}

/// An event of a page that is read later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaterEvent {
    /// Its position in the log.
    pub sequence: Sequence,
    /// The size of its JSON.
    pub bytes: u32,
}

/// The answer to an [`EventQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The matching events.
    pub events: Vec<LoggedEvent>,
    /// Those that follow, and exceed the query's `max_held_bytes`.
    pub later: Vec<LaterEvent>,
    /// Where to continue: after this event, or before it if the page is descending. Everything on the way here was
    /// examined, matching or not.
    pub scanned_to: Sequence,
    /// Why more events may match behind `scanned_to`; none if none do.
    pub cut: Option<Cut>,
}

impl EventPage {
    /// A page without events, whose range was examined to its end.
    pub fn empty(scanned_to: Sequence) -> Self {
        Self { events: Vec::new(), later: Vec::new(), scanned_to, cut: None }
    }

    /// The number of its events.
    pub fn len(&self) -> usize {
        self.events.len() + self.later.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.later.is_empty()
    }

    /// The last of its events.
    pub fn last(&self) -> Option<Sequence> {
        let held = || self.events.last().map(|event| event.sequence);
        self.later.last().map(|event| event.sequence).or_else(held)
    }

    /// The size of its events' JSON.
    pub fn bytes(&self) -> usize {
        let held: usize = self.events.iter().map(|event| event.json.len()).sum();
        held + self.later.iter().map(|event| event.bytes as usize).sum::<usize>()
    }
}

/// Collects the matching events of a page, in order, until it is full.
pub struct PageBuilder<'q> {
    query: &'q EventQuery,
    bytes: usize,
    /// The page as far as it was read.
    pub page: EventPage,
}

impl<'q> PageBuilder<'q> {
    /// An empty page, from the query's cursor.
    pub fn new(query: &'q EventQuery) -> Self {
        Self { query, bytes: 0, page: EventPage::empty(query.after) }
    }

    /// Whether the page has as many events as it may.
    pub fn has_all_events(&self) -> bool {
        self.page.len() >= self.query.limit
    }

    /// Adds the next event, whose JSON has so many bytes, and moves the cursor to it. `read` returns it. Breaks, with a
    /// [`Cut`], if the page is full without it.
    pub fn add(
        &mut self,
        sequence: Sequence,
        bytes: usize,
        read: impl FnOnce() -> LoggedEvent,
    ) -> ControlFlow<()> {
        let total = self.bytes.saturating_add(bytes);
        if self.has_all_events() || total > self.query.max_bytes && !self.page.is_empty() {
            self.page.cut = Some(Cut::Size);
            return ControlFlow::Break(());
        }
        if total <= self.query.max_held_bytes && self.page.later.is_empty() {
            self.page.events.push(read());
        } else {
            self.page.later.push(LaterEvent { sequence, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) });
        }
        (self.bytes, self.page.scanned_to) = (total, sequence);
        ControlFlow::Continue(())
    }
}

/// Why a page ends before its range does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It has as many events, or as many bytes, as it may.
    Size,
    /// As many events as one read may examine were examined.
    Scan,
}

/// Events that cannot be read, because what is stored is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedEvents {
    /// They are after this one.
    pub after: Sequence,
    /// The last of them.
    pub to: Sequence,
}

impl DamagedEvents {
    /// The event with this sequence.
    pub fn one(sequence: Sequence) -> Self {
        Self { after: Sequence(sequence.0.saturating_sub(1)), to: sequence }
    }
}

impl fmt::Display for DamagedEvents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the events after {} up to {} are damaged", self.after, self.to)
    }
}

/// Why the store cannot be read. The cause is logged where it occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read right now.
    #[error("the store cannot be read right now")]
    Unavailable,
    /// Something that is needed is damaged.
    #[error("what is stored is damaged")]
    Damaged,
    /// These events are needed, and damaged.
    #[error("{0}")]
    DamagedEvents(DamagedEvents),
}

impl From<ReadError> for OperationError {
    fn from(error: ReadError) -> Self {
        let damaged = || DomainError::new(Code::DataLoss).saying(error.to_string());
        match error {
            ReadError::Unavailable => Self::unavailable(&error.to_string()),
            ReadError::Damaged => damaged().into(),
            ReadError::DamagedEvents(DamagedEvents { after, to }) => {
                damaged().with("fromCursor", after.0).with("toCursor", to.0).into()
            }
        }
    }
}
