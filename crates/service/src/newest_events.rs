//! The newest events of a room in pages, newest first; and whether older ones were left out.

use agentcafe_domain::kernel::{RoomId, Sequence, TenantId};
use agentcafe_eventlog::{EventFilter, EventQuery, LoggedEvent, MAX_PAGE_BYTES, ReadError};
use agentcafe_store::Store;

/// A read of the newest events, page by page.
pub(crate) struct NewestEvents<'s> {
    store: &'s Store,
    /// What is still to be read.
    query: EventQuery,
    is_exhausted: bool,
    /// The cursor of the query.
    since: Sequence,
}

impl<'s> NewestEvents<'s> {
    /// Reads the events of a room that `query` selects, with its limits for all pages together. Only the room's newest
    /// `look_back` events after the query's cursor are scanned, whether they match or not: what a read costs does not grow with the
    /// log.
    pub(crate) async fn begin(
        store: &'s Store,
        (tenant, room): (&TenantId, &RoomId),
        look_back: u32,
        query: EventQuery,
    ) -> Result<Self, ReadError> {
        let after = store.before_newest(tenant, room, look_back).await?.max(query.after);
        let (tenant, room) = (Some(tenant.clone()), Some(room.clone()));
        let filter = EventFilter { tenant, room, ..query.filter };
        Ok(Self {
            store,
            query: EventQuery { filter, after, descending: true, ..query },
            is_exhausted: false,
            since: query.after,
        })
    }

    /// The next page, newest first; none when there are no more, or there were enough.
    pub(crate) async fn page(&mut self) -> Result<Option<Vec<LoggedEvent>>, ReadError> {
        if self.is_exhausted || self.query.limit == 0 || self.query.max_bytes == 0 {
            return Ok(None);
        }
        let max_bytes = MAX_PAGE_BYTES.min(self.query.max_bytes);
        let page = self.store.events(EventQuery { max_bytes, ..self.query.clone() }).await?;
        self.is_exhausted = page.cut.is_none();
        self.query.before = Some(page.scanned_to);
        self.query.limit -= page.events.len();
        let bytes: usize = page.events.iter().map(|event| event.json.len()).sum();
        self.query.max_bytes = self.query.max_bytes.saturating_sub(bytes);
        Ok(Some(page.events))
    }

    /// Whether something older was left out, or not scanned.
    pub(crate) async fn is_truncated(&self) -> Result<bool, ReadError> {
        let one = EventQuery { limit: 1, max_bytes: MAX_PAGE_BYTES, ..self.query.clone() };
        let EventQuery { after, filter: EventFilter { tenant, room, .. }, .. } = one.clone();
        if !self.is_exhausted {
            let older = self.store.events(one.clone()).await?;
            if !older.events.is_empty() || older.cut.is_some() {
                return Ok(true);
            }
        }
        if after == self.since {
            return Ok(false);
        }
        let filter = EventFilter { tenant, room, ..EventFilter::default() };
        let beyond = EventQuery { filter, after: self.since, before: Some(after.next()), ..one };
        Ok(!self.store.events(beyond).await?.events.is_empty())
    }
}
