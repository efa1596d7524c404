//! Projecting, from a stored cursor on, until something is not as it was.

use std::{convert::Infallible, time::Duration};

use agentcafe_client::{Arrived, EventStream, News, Start, Stream};
use agentcafe_domain::{
    kernel::{ids::Sequence, time::Timestamp},
    projection::RoomProjection,
};
use agentcafe_redis::{
    Away,
    read_models::{Known, ReadModels, Written},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::{
    arrival::Arrival,
    projector::{HOLD, Projector},
    rooms::Rooms,
};

/// What happened is written so long after the first of it came, at the latest: well within 250 ms of being committed.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// The same while so many events are still to come that nobody waits for these: writing a room costs the same for one event
/// as for many.
const FLUSH_AFTER_BEHIND: Duration = Duration::from_secs(1);
/// So many.
const FAR_BEHIND: u64 = 1_000;
/// So much, in bytes, is written at once.
const FLUSH_BYTES: usize = 8 * 1_024 * 1_024;
/// How often it is looked whether Redis still holds what was written, and who is still present.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The process stops; everything that came is written.
    Stopped,
    /// Redis is away.
    Away(Away),
    /// Redis holds something else than what was written last.
    Overtaken,
    /// It has to be begun anew, with nothing.
    Anew(&'static str),
}

impl From<Away> for End {
    fn from(away: Away) -> Self {
        Self::Away(away)
    }
}

/// One session: as long as Redis holds what this projector wrote.
pub(crate) struct Session<'a> {
    projector: &'a Projector,
    projection: &'a ReadModels,
    stream: Stream,
    rooms: Rooms,
    /// What Redis holds; none before the first write.
    stored: Option<Sequence>,
    /// Up to where events were taken in.
    taken: Sequence,
    /// The longest that the log is known to have been.
    head: Sequence,
    flush_at: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Takes up what Redis holds.
    pub(crate) async fn begin(projector: &'a Projector, projection: &'a ReadModels) -> Result<Self, End> {
        let stored = projection.cursor().await?;
        if stored.is_none() {
            projection.clear(&projector.name, HOLD).await?;
            projector.status.change(|state| state.rebuilds += 1);
        }
        let taken = stored.unwrap_or(projector.settings.start_cursor);
        let stream = EventStream {
            scope: projector.settings.scope.query(),
            known_head: taken,
            pauses: projector.settings.pauses,
            silence: projector.settings.silence,
            ..EventStream::all(Start::After(taken))
        };
        let stream = Stream::new(projector.settings.api.clone(), stream);
        let mut rooms = Rooms::default();
        let present = projection.present().await?;
        let now = projector.clock.now();
        for (name, known) in present.iter().zip(projection.known(&present).await?) {
            match known {
                Known::Aside(projection) => rooms.open(name.clone(), *projection, now),
                Known::New | Known::Missing => return Err(End::Anew("a read model is missing")),
            }
        }
        let count = projection.room_count().await?;
        projector.status.change(|state| {
            state.cursor = taken;
            state.rooms = count;
        });
        Ok(Self { projector, projection, stream, rooms, stored, taken, head: taken, flush_at: None })
    }

    /// Projects until something is not as it was.
    pub(crate) async fn run(mut self) -> End {
        match self.project().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn project(&mut self) -> Result<Infallible, End> {
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
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
                    return Err(End::Stopped);
                }
                () = flush_due => self.flush().await?,
                _ = looks.tick() => self.look().await?,
                news = self.stream.next() => self.take(news).await?,
            }
        }
    }

    async fn take(&mut self, news: News) -> Result<(), End> {
        let status = &self.projector.status;
        match news {
            News::Connected { head, .. } => {
                self.head = self.head.max(head);
                status.change(|state| {
                    state.source_connected = true;
                    state.head = head;
                });
            }
            News::Events(events) => return self.take_events(events).await,
            News::ScannedTo(sequence) => {
                self.taken = self.taken.max(sequence);
                status.change(|state| state.head = state.head.max(sequence));
                self.flush_soon();
            }
            News::Gap(from, to) => {
                tracing::error!(%from, %to, "the API left events out");
                return Err(End::Anew("events are missing"));
            }
            News::OtherLog { head } => {
                tracing::warn!(%head, "the log has become shorter: it is another one");
                return Err(End::Anew("it is another log"));
            }
            News::Lost(failure) => {
                let why = failure.to_string();
                status.change(|state| {
                    if state.source_error.as_ref() != Some(&why) || state.source_connected {
                        tracing::warn!(%why, "the event source is away");
                    }
                    state.source_connected = false;
                    state.reconnects += 1;
                    state.source_error = Some(why);
                });
            }
        }
        Ok(())
    }

    async fn take_events(&mut self, events: Vec<Arrived>) -> Result<(), End> {
        let scope = &self.projector.settings.scope;
        let Some(last) = events.last().map(|event| event.sequence) else { return Ok(()) };
        let mut arrivals = Vec::with_capacity(events.len());
        for arrived in &events {
            match Arrival::read(arrived) {
                Ok(arrival) if scope.holds(&arrival.tenant, &arrival.room) => arrivals.push(arrival),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(sequence = %arrived.sequence, %error, "an event cannot be read");
                    self.projector.status.change(|state| state.unreadable += 1);
                }
            }
        }
        self.open_rooms(&arrivals).await?;
        let count = arrivals.len() as u64;
        arrivals.into_iter().for_each(|arrival| self.rooms.take(arrival));
        self.taken = last;
        self.projector.status.change(|state| {
            state.events += count;
            state.head = state.head.max(last);
        });
        self.flush_soon();
        if self.rooms.pending_bytes() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Takes up the rooms in which something happened and that are not open.
    async fn open_rooms(&mut self, arrivals: &[Arrival]) -> Result<(), End> {
        let mut closed: Vec<&Arrival> =
            arrivals.iter().filter(|arrival| !self.rooms.is_open(&arrival.name)).collect();
        closed.sort_by_key(|arrival| &arrival.name);
        closed.dedup_by_key(|arrival| &arrival.name);
        if closed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = closed.iter().map(|arrival| arrival.name.clone()).collect();
        let now = self.projector.clock.now();
        for (arrival, known) in closed.into_iter().zip(self.projection.known(&names).await?) {
            let projection = match known {
                Known::Aside(projection) => *projection,
                Known::New => {
                    self.projector.status.change(|state| state.rooms += 1);
                    RoomProjection::new(arrival.tenant.clone(), arrival.room.clone())
                }
                Known::Missing => return Err(End::Anew("a read model is missing")),
            };
            self.rooms.open(arrival.name.clone(), projection, now);
        }
        Ok(())
    }

    fn flush_soon(&mut self) {
        let is_far_behind = self.head.0 > self.taken.0.saturating_add(FAR_BEHIND);
        let wait = if is_far_behind { FLUSH_AFTER_BEHIND } else { FLUSH_AFTER };
        self.flush_at.get_or_insert_with(|| Instant::now() + wait);
    }

    /// Writes everything that came.
    async fn flush(&mut self) -> Result<(), End> {
        if self.flush_at.take().is_none() || self.stored == Some(self.taken) {
            return Ok(());
        }
        let now = self.projector.clock.now();
        let writes = self.rooms.take_pending(now);
        match self.projection.write(self.stored, self.taken, writes, now).await? {
            Written::Whole => self.stored = Some(self.taken),
            Written::Overtaken => return Err(End::Overtaken),
        }
        self.rooms.close_idle();
        let cursor = self.taken;
        self.projector.status.change(|state| {
            state.cursor = cursor;
            state.written_at = Some(now);
        });
        Ok(())
    }

    /// Looks whether Redis still holds what was written, keeps the right to write, and lets presences run out.
    async fn look(&mut self) -> Result<(), End> {
        if !self.projection.hold(&self.projector.name, HOLD).await?
            || self.projection.cursor().await? != self.stored
        {
            return Err(End::Overtaken);
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
        self.projection.write_presence(due.into_iter(), now).await?;
        Ok(())
    }
}
