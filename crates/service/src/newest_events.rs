//! The newest events of a room in pages, newest first; and whether older ones were left out.

use agentcafe_domain::kernel::{RoomId, Sequence, TenantId, Timestamp};
use agentcafe_eventlog::{EventFilter, EventQuery, LoggedEvent, MAX_PAGE_BYTES, ReadError};
use agentcafe_store::Store;

/// Which of a room's newest events are read.
pub(crate) struct NewestQuery {
    pub(crate) tenant: TenantId,
    pub(crate) room: RoomId,
    /// Only those of them that pass; its tenant and room do not count.
    pub(crate) filter: EventFilter,
    /// Only at or after this moment.
    pub(crate) from: Option<Timestamp>,
    /// Only at or before this moment.
    pub(crate) to: Option<Timestamp>,
    /// The most events.
    pub(crate) limit: usize,
    /// The most event JSON, in bytes, give or take an event.
    pub(crate) max_bytes: usize,
    /// How many of the room's newest events are looked at, whether they pass or not: what a reading costs does not grow
    /// with the log.
    pub(crate) look_back: u32,
}

impl NewestQuery {
    /// All events among the room's newest `look_back`.
    pub(crate) fn new(tenant: &TenantId, room: &RoomId, look_back: u32) -> Self {
        Self {
            tenant: tenant.clone(),
            room: room.clone(),
            filter: EventFilter::default(),
            from: None,
            to: None,
            limit: usize::MAX,
            max_bytes: usize::MAX,
            look_back,
        }
    }
}

/// A read of the newest events, page by page.
pub(crate) struct NewestEvents<'s> {
    store: &'s Store,
    query: NewestQuery,
    /// Everything up to here is too far back.
    bound: Sequence,
    before: Option<Sequence>,
    is_exhausted: bool,
}

impl<'s> NewestEvents<'s> {
    pub(crate) async fn begin(store: &'s Store, mut query: NewestQuery) -> Result<Self, ReadError> {
        let bound = store.before_newest(&query.tenant, &query.room, query.look_back).await?;
        (query.filter.tenant, query.filter.room) = (Some(query.tenant.clone()), Some(query.room.clone()));
        Ok(Self { store, query, bound, before: None, is_exhausted: false })
    }

    fn event_query(&self, limit: usize) -> EventQuery {
        let NewestQuery { filter, from, to, max_bytes, .. } = &self.query;
        EventQuery {
            after: self.bound,
            before: self.before,
            from: *from,
            to: *to,
            max_bytes: MAX_PAGE_BYTES.min(*max_bytes),
            ..EventQuery::newest(filter.clone(), limit)
        }
    }

    /// The next page, newest first; none when there are no more, or there were enough.
    pub(crate) async fn page(&mut self) -> Result<Option<Vec<LoggedEvent>>, ReadError> {
        if self.is_exhausted || self.query.limit == 0 || self.query.max_bytes == 0 {
            return Ok(None);
        }
        let page = self.store.events(self.event_query(self.query.limit)).await?;
        let last = page.events.last().map(|event| event.sequence);
        // A page that ends at the last place that was looked at was cut off there.
        self.is_exhausted = last != Some(page.scanned_to);
        self.before = last.or(self.before);
        self.query.limit -= page.events.len();
        let bytes: usize = page.events.iter().map(|event| event.json.len()).sum();
        self.query.max_bytes = self.query.max_bytes.saturating_sub(bytes);
        Ok(last.is_some().then_some(page.events))
    }

    /// Whether something older was left out, or not looked at.
    pub(crate) async fn is_truncated(&self) -> Result<bool, ReadError> {
        if !self.is_exhausted && !self.store.events(self.event_query(1)).await?.events.is_empty() {
            return Ok(true);
        }
        if self.bound == Sequence::START {
            return Ok(false);
        }
        let NewestQuery { tenant, room, from, to, .. } = &self.query;
        let (tenant, room) = (Some(tenant.clone()), Some(room.clone()));
        let whole = EventFilter { tenant, room, ..EventFilter::default() };
        let before = Some(self.bound.next());
        let beyond = EventQuery { before, from: *from, to: *to, ..EventQuery::newest(whole, 1) };
        Ok(!self.store.events(beyond).await?.events.is_empty())
    }
}
