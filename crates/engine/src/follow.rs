//! Follow: the one primitive that reads the log as a stream. First what is stored after the cursor, then what comes,
//! without a gap or a repeat at the seam, because both are the same reading from the same cursor.

use std::{pin::Pin, sync::Arc};

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_store::{
    EventFilter, EventPage, EventQuery, ReadError, Store,
    event_query::MAX_PAGE_BYTES,
    recent_events::{RecentEvents, Watermark},
};
use tokio::sync::watch;

/// A page that is being read.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<EventPage, ReadError>> + Send + 'a>>;

/// A log that can be followed: its newest events in memory, and a way to the others.
pub trait Log: Send + Sync + 'static {
    /// The newest events, and who waits for more.
    fn recent_events(&self) -> &RecentEvents;

    /// Reads what the tail does not have.
    fn older(&self, query: EventQuery) -> Reading<'_>;
}

impl Log for Store {
    fn recent_events(&self) -> &RecentEvents {
        self.recent_events()
    }

    fn older(&self, query: EventQuery) -> Reading<'_> {
        Box::pin(self.older_events(query))
    }
}

/// A reader of the log with a cursor. It holds no events: one that is slow costs no memory, and one that falls far
/// behind reads from the database instead of from memory.
pub struct Follower {
    log: Arc<dyn Log>,
    filter: Arc<EventFilter>,
    scanned_to: Sequence,
    wake: watch::Receiver<Watermark>,
}

impl Follower {
    /// Follows the events that match `filter`, after `after`.
    pub fn new(log: Arc<impl Log>, filter: EventFilter, after: Sequence) -> Self {
        let wake = log.recent_events().wake(&filter);
        Self { log, filter: Arc::new(filter), scanned_to: after, wake }
    }

    /// The filter.
    pub fn filter(&self) -> &Arc<EventFilter> {
        &self.filter
    }

    /// Everything up to here has been looked at; to resume from here misses nothing and repeats nothing.
    pub fn scanned_to(&self) -> Sequence {
        self.scanned_to
    }

    /// Takes what a reading elsewhere has looked at as looked at.
    pub fn advance_to(&mut self, scanned_to: Sequence) {
        self.scanned_to = self.scanned_to.max(scanned_to);
    }

    /// Whether something after the cursor may match. While it is not so, the cursor moves along with the head.
    pub fn has_more(&mut self) -> bool {
        let head = self.log.recent_events().head();
        let watermark = *self.wake.borrow_and_update();
        if watermark.last > self.scanned_to {
            self.scanned_to = watermark.resume(self.scanned_to);
            return true;
        }
        self.scanned_to = self.scanned_to.max(head);
        false
    }

    /// Waits until something after the cursor may match.
    pub async fn more(&mut self) {
        while !self.has_more() {
            // The log outlives its followers, so that the sender is never gone while we wait.
            if self.wake.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The matching events after the cursor, at most `limit`, without waiting; the cursor moves past them.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read; the cursor stays.
    pub async fn read(&mut self, limit: usize) -> Result<EventPage, ReadError> {
        self.read_bytes(limit, MAX_PAGE_BYTES).await
    }

    /// As [`Follower::read`], with at most `max_bytes` of event JSON (or one event).
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read; the cursor stays.
    pub async fn read_bytes(&mut self, limit: usize, max_bytes: usize) -> Result<EventPage, ReadError> {
        let after = EventQuery::after(self.filter.as_ref().clone(), self.scanned_to, limit);
        let query = EventQuery { max_bytes, ..after };
        let page = match self.log.recent_events().read(&query) {
            Some(page) => page,
            None => self.log.older(query).await?,
        };
        self.scanned_to = self.scanned_to.max(page.scanned_to);
        Ok(page)
    }

    /// The next matching events, at most `limit` and at least one; waits for them.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read; the cursor stays.
    pub async fn next(&mut self, limit: usize) -> Result<EventPage, ReadError> {
        loop {
            self.more().await;
            let page = self.read(limit).await?;
            if !page.events.is_empty() {
                return Ok(page);
            }
        }
    }
}
