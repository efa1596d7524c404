//! A session: projects from the stored cursor until Redis or the log is not what it expects.

use std::convert::Infallible;
use std::time::Duration;

use agentcafe_client::{EventStream, ReceivedEvent, StreamOptions, StreamUpdate};
use agentcafe_domain::kernel::{Sequence, Timestamp};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_redis::RedisUnavailable;
use agentcafe_redis::read_models::{ReadModels, StoredRoom, WriteOutcome};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::projector::{LOCK_TTL, Projector};
use crate::rooms::{RoomEvent, Rooms};

/// Events are written at the latest this long after the first of them arrived: well within 250 ms of their commit.
const FLUSH_DELAY: Duration = Duration::from_millis(100);
/// The same while the projector is far behind: writing a room costs the same for one event as for many.
const FLUSH_DELAY_BEHIND: Duration = Duration::from_secs(1);
/// How many events behind the head count as far behind.
const FAR_BEHIND: u64 = 1_000;
/// Pending events of this size are written at once, in bytes.
const FLUSH_BYTES: usize = 8 * 1_024 * 1_024;
/// How often the stored cursor is verified, the lock renewed, and expired presence removed.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// The process stops; all events that arrived are written.
    Stopped,
    /// Redis does not answer.
    RedisUnavailable(RedisUnavailable),
    /// Redis does not hold the last write, or another projector holds the lock.
    Conflict,
    /// All read models must be rebuilt, for this reason.
    Rebuild(&'static str),
}

impl From<RedisUnavailable> for SessionEnd {
    fn from(error: RedisUnavailable) -> Self {
        Self::RedisUnavailable(error)
    }
}

/// One session: lasts as long as Redis holds what this projector wrote.
pub(crate) struct Session<'a> {
    projector: &'a Projector,
    read_models: &'a ReadModels,
    stream: EventStream,
    rooms: Rooms,
    /// The cursor in Redis; none before the first write.
    stored: Option<Sequence>,
    /// The cursor of the events that were applied.
    applied: Sequence,
    /// The highest sequence that the log is known to have.
    head: Sequence,
    /// The log that the cursor is of, as Redis has it.
    log_id: Option<String>,
    flush_at: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Resumes from what Redis holds.
    pub(crate) async fn begin(
        projector: &'a Projector,
        read_models: &'a ReadModels,
    ) -> Result<Self, SessionEnd> {
        let stored = read_models.cursor().await?;
        if stored.is_none() {
            read_models.clear(&projector.name, LOCK_TTL).await?;
            projector.status.change(|state| state.rebuilds += 1);
        }
        let log_id = read_models.log_id().await?;
        let applied = stored.unwrap_or(projector.settings.start_cursor);
        let options = StreamOptions { log_id: log_id.clone(), ..projector.settings.stream_options(applied) };
        let stream = EventStream::new(projector.settings.api.clone(), options);
        let mut rooms = Rooms::default();
        let present = read_models.present().await?;
        let now = projector.clock.now();
        for (name, stored) in present.iter().zip(read_models.load(&present).await?) {
            match stored {
                StoredRoom::Stored(projection) => rooms.open(name.clone(), *projection, now),
                StoredRoom::New | StoredRoom::Missing => {
                    return Err(SessionEnd::Rebuild("a read model is missing"));
                }
            }
        }
        let count = read_models.room_count().await?;
        projector.status.change(|state| {
            state.cursor = applied;
            state.rooms = count;
        });
        Ok(Self {
            projector,
            read_models,
            stream,
            rooms,
            stored,
            applied,
            head: applied,
            log_id,
            flush_at: None,
        })
    }

    /// Projects until the session ends.
    pub(crate) async fn run(mut self) -> SessionEnd {
        match self.project().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn project(&mut self) -> Result<Infallible, SessionEnd> {
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        checks.reset();
        loop {
            let flush_at = self.flush_at;
            let flush_due = async {
                match flush_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.projector.stopping.cancelled() => {
                    self.flush().await?;
                    return Err(SessionEnd::Stopped);
                }
                () = flush_due => self.flush().await?,
                _ = checks.tick() => self.check().await?,
                update = self.stream.next() => self.apply(update).await?,
            }
        }
    }

    async fn apply(&mut self, update: StreamUpdate) -> Result<(), SessionEnd> {
        let status = &self.projector.status;
        match update {
            StreamUpdate::Connected { head, log_id, .. } => {
                self.head = self.head.max(head);
                if let Some(log_id) = log_id.filter(|log_id| self.log_id.as_ref() != Some(log_id)) {
                    self.read_models.set_log_id(&log_id).await?;
                    self.log_id = Some(log_id);
                }
                status.change(|state| state.connected(head));
            }
            StreamUpdate::Events(events) => return self.apply_events(events).await,
            StreamUpdate::ScannedTo(sequence) => {
                self.applied = self.applied.max(sequence);
                status.change(|state| state.head = state.head.max(sequence));
                self.schedule_flush();
            }
            StreamUpdate::Gap { from, to, is_damaged: true } => {
                tracing::error!(%from, %to, "events are damaged; the read models lack them");
                self.applied = self.applied.max(to);
                self.schedule_flush();
            }
            StreamUpdate::Gap { from, to, .. } => {
                tracing::error!(%from, %to, "the API skipped events");
                return Err(SessionEnd::Rebuild("events are missing"));
            }
            StreamUpdate::LogReplaced { head, log_id } => {
                tracing::warn!(%head, log_id, "the cursor is not of this log");
                return Err(SessionEnd::Rebuild("the log was replaced"));
            }
            StreamUpdate::Disconnected(error) => {
                status.change(|state| state.disconnected(error.to_string()));
            }
        }
        Ok(())
    }

    async fn apply_events(&mut self, received: Vec<ReceivedEvent>) -> Result<(), SessionEnd> {
        let scope = &self.projector.settings.scope;
        let Some(last) = received.last().map(|event| event.sequence) else { return Ok(()) };
        let mut events = Vec::with_capacity(received.len());
        for received in &received {
            match RoomEvent::parse(received) {
                Ok(event) if scope.contains(&event.tenant, &event.room) => events.push(event),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(sequence = %received.sequence, %error, "an event cannot be parsed");
                    self.projector.status.change(|state| state.unreadable_events += 1);
                }
            }
        }
        self.open_rooms(&events).await?;
        let count = events.len() as u64;
        events.into_iter().for_each(|event| self.rooms.apply(event));
        self.applied = last;
        self.projector.status.change(|state| {
            state.events += count;
            state.head = state.head.max(last);
        });
        self.schedule_flush();
        if self.rooms.pending_bytes() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Loads the rooms of these events that are not open.
    async fn open_rooms(&mut self, events: &[RoomEvent]) -> Result<(), SessionEnd> {
        let mut closed: Vec<&RoomEvent> =
            events.iter().filter(|event| !self.rooms.is_open(&event.name)).collect();
        closed.sort_by_key(|event| &event.name);
        closed.dedup_by_key(|event| &event.name);
        if closed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = closed.iter().map(|event| event.name.clone()).collect();
        let now = self.projector.clock.now();
        for (event, stored) in closed.into_iter().zip(self.read_models.load(&names).await?) {
            let projection = match stored {
                StoredRoom::Stored(projection) => *projection,
                StoredRoom::New => {
                    self.projector.status.change(|state| state.rooms += 1);
                    RoomProjection::new(event.tenant.clone(), event.room.clone())
                }
                StoredRoom::Missing => return Err(SessionEnd::Rebuild("a read model is missing")),
            };
            self.rooms.open(event.name.clone(), projection, now);
        }
        Ok(())
    }

    fn schedule_flush(&mut self) {
        let is_far_behind = self.head.0 > self.applied.0.saturating_add(FAR_BEHIND);
        let delay = if is_far_behind { FLUSH_DELAY_BEHIND } else { FLUSH_DELAY };
        self.flush_at.get_or_insert_with(|| Instant::now() + delay);
    }

    /// Writes all pending events.
    async fn flush(&mut self) -> Result<(), SessionEnd> {
        if self.flush_at.take().is_none() || self.stored == Some(self.applied) {
            return Ok(());
        }
        let now = self.projector.clock.now();
        let writes = self.rooms.take_pending(now);
        match self.read_models.write(self.stored, self.applied, writes, now).await? {
            WriteOutcome::Committed => self.stored = Some(self.applied),
            WriteOutcome::Conflict => return Err(SessionEnd::Conflict),
        }
        self.rooms.close_idle();
        let cursor = self.applied;
        self.projector.status.change(|state| {
            state.cursor = cursor;
            state.written_at = Some(now);
        });
        Ok(())
    }

    /// Renews the lock, verifies that Redis still holds the last write, and removes expired presence.
    async fn check(&mut self) -> Result<(), SessionEnd> {
        if !self.read_models.acquire_lock(&self.projector.name, LOCK_TTL).await?
            || self.read_models.cursor().await? != self.stored
        {
            return Err(SessionEnd::Conflict);
        }
        let now = self.projector.clock.now();
        let renew_before = match self.projector.settings.presence_ttl {
            Some(ttl) => {
                let third = i64::try_from(ttl.as_millis() / 3).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(third))
            }
            None => Timestamp::from_millis(0),
        };
        let due = self.rooms.due(now, renew_before);
        self.read_models.write_presence(due.into_iter(), now).await?;
        Ok(())
    }
}
