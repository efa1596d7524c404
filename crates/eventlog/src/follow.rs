//! Followers: the one way to read the log as a stream. A follower reads the stored events after its cursor, then the
//! new ones. Both are the same read from the same cursor, so there is no gap and no duplicate at the seam.

use std::pin::Pin;
use std::sync::Arc;

use agentcafe_domain::kernel::Sequence;
use tokio::sync::watch;

use crate::{
    Cut, DamagedEvents, EventFilter, EventPage, EventQuery, MAX_PAGE_BYTES, MessageBodies, ReadError,
    RecentEvents, Watermark,
};

/// A read in progress.
pub type PageFuture<'a> = Pin<Box<dyn Future<Output = Result<EventPage, ReadError>> + Send + 'a>>;

/// A log that can be followed: its newest events in memory, and a way to read older ones.
pub trait Log: Send + Sync + 'static {
    /// The newest events, and the wake-ups for new ones.
    fn recent_events(&self) -> &RecentEvents;

    /// Reads a page that the recent events do not cover.
    fn read_older(&self, query: EventQuery) -> PageFuture<'_>;
}

/// A reader of the log with a cursor. It buffers no events: a slow follower costs no memory, and one that falls far behind
/// reads from the database instead of from memory.
pub struct Follower {
    log: Arc<dyn Log>,
    filter: Arc<EventFilter>,
    scanned_to: Sequence,
    watermark: watch::Receiver<Watermark>,
    /// Damaged events ahead of the cursor. Those before them are read first.
    damaged: Option<DamagedEvents>,
    /// What holds the bodies of messages, if they are part of the events.
    bodies: Option<Arc<dyn MessageBodies>>,
}

impl Follower {
    /// Follows the events after `after` that match `filter`.
    pub fn new(log: Arc<impl Log>, filter: EventFilter, after: Sequence) -> Self {
        let watermark = log.recent_events().subscribe(&filter);
        Self { log, filter: Arc::new(filter), scanned_to: after, watermark, damaged: None, bodies: None }
    }

    /// The same follower, whose messages have their bodies if they are held here. Its pages are short then.
    #[must_use]
    pub fn with_bodies(self, bodies: Option<Arc<dyn MessageBodies>>) -> Self {
        Self { bodies, ..self }
    }

    /// Whether messages have their bodies.
    pub fn has_bodies(&self) -> bool {
        self.bodies.is_some()
    }

    /// The filter.
    pub fn filter(&self) -> &Arc<EventFilter> {
        &self.filter
    }

    /// The cursor: everything up to here was examined. Resuming from it misses nothing and repeats nothing.
    pub fn scanned_to(&self) -> Sequence {
        self.scanned_to
    }

    /// Moves the cursor forward to where another read of the same log has got; never backward.
    pub fn advance_to(&mut self, scanned_to: Sequence) {
        self.scanned_to = self.scanned_to.max(scanned_to);
    }

    /// Whether an event after the cursor may match. If none does, the cursor moves to the head of the log.
    pub fn has_more(&mut self) -> bool {
        let head = self.log.recent_events().head();
        let watermark = *self.watermark.borrow_and_update();
        if watermark.last > self.scanned_to {
            self.scanned_to = watermark.resume(self.scanned_to);
            return true;
        }
        self.scanned_to = self.scanned_to.max(head);
        false
    }

    /// Waits until an event after the cursor may match.
    pub async fn wait_for_more(&mut self) {
        while !self.has_more() {
            // The follower holds the log, and the log holds the sender.
            if self.watermark.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Reads the matching events after the cursor, at most `limit`, without waiting, and moves the cursor past them.
    ///
    /// # Errors
    /// [`ReadError::DamagedEvents`] when the next events are damaged: the cursor has moved past them, too. Any other
    /// [`ReadError`]: the cursor stays.
    pub async fn read(&mut self, limit: usize) -> Result<EventPage, ReadError> {
        self.read_page(limit, MAX_PAGE_BYTES, usize::MAX).await
    }

    /// As [`Follower::read`], but returns at most `max_held_bytes` of event JSON; later events of the page are only named.
    ///
    /// # Errors
    /// As [`Follower::read`].
    pub async fn read_held(&mut self, limit: usize, max_held_bytes: usize) -> Result<EventPage, ReadError> {
        self.read_page(limit, MAX_PAGE_BYTES, max_held_bytes).await
    }

    /// As [`Follower::read`], with at most `max_bytes` of event JSON (or one event).
    ///
    /// # Errors
    /// As [`Follower::read`].
    pub async fn read_within(&mut self, limit: usize, max_bytes: usize) -> Result<EventPage, ReadError> {
        self.read_page(limit, max_bytes, usize::MAX).await
    }

    async fn read_page(
        &mut self,
        limit: usize,
        max_bytes: usize,
        max_held_bytes: usize,
    ) -> Result<EventPage, ReadError> {
        loop {
            if let Some(damaged) = self.damaged.take_if(|damaged| damaged.after <= self.scanned_to) {
                self.advance_to(damaged.to);
                return Err(ReadError::DamagedEvents(damaged));
            }
            let after = EventQuery::after(self.filter.as_ref().clone(), self.scanned_to, limit);
            let before = self.damaged.map(|damaged| damaged.after.next());
            let max_bytes = if self.bodies.is_some() { max_bytes.min(max_held_bytes) } else { max_bytes };
            let query = EventQuery { max_bytes, max_held_bytes, before, ..after };
            let page = match self.log.recent_events().read(&query) {
                Some(page) => Ok(page),
                None => self.log.read_older(query).await,
            };
            let page = match (page, &self.bodies) {
                (Ok(mut page), Some(bodies)) => page.add_bodies(bodies.as_ref()).await.map(|()| page),
                (page, _) => page,
            };
            match page {
                Ok(page) => {
                    self.advance_to(page.scanned_to);
                    if self.damaged.is_none() || !page.is_empty() {
                        return Ok(page);
                    }
                }
                Err(ReadError::DamagedEvents(DamagedEvents { after, to })) => {
                    // What is before them cannot be read either, if that was tried.
                    let is_new = self.damaged.is_none_or(|known| after < known.after);
                    let after = if is_new { after } else { self.scanned_to };
                    self.damaged = Some(DamagedEvents { after, to });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an event after the cursor matches, up to `until`; one that is damaged may.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub async fn has_match_until(&self, until: Sequence) -> Result<bool, ReadError> {
        let after = EventQuery::after(self.filter.as_ref().clone(), self.scanned_to, 1);
        let mut query = EventQuery { before: Some(until.next()), ..after };
        loop {
            match self.log.read_older(query.clone()).await {
                Ok(page) if page.events.is_empty() && page.cut == Some(Cut::Scan) => {
                    query.after = page.scanned_to
                }
                Ok(page) => return Ok(page.events.first().is_some_and(|event| event.sequence <= until)),
                Err(ReadError::DamagedEvents(_)) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for matching events and reads them, at least one, as [`Follower::read_held`] does.
    ///
    /// # Errors
    /// As [`Follower::read`].
    pub async fn next(&mut self, limit: usize, max_held_bytes: usize) -> Result<EventPage, ReadError> {
        loop {
            self.wait_for_more().await;
            let page = self.read_held(limit, max_held_bytes).await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}
