//! One log as far as it was heard of: its newest events, its rooms, and a way to everything older.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use agentcafe_client::Arrived;
use agentcafe_domain::{
    kernel::{event::StoredEvent, ids::Sequence, time::Timestamp},
    projection::RoomProjection,
};
use agentcafe_eventlog::{
    EventFilter, EventPage, EventQuery, Fanout, Log, PageFuture, ReadError, RecentEvents,
};
use bytes::Bytes;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    archive::Archive,
    backlog::Backlog,
    room::Beginning,
    rooms::{Known, RoomKey, Rooms, State},
    service::Settings,
};

/// How many events of a room are read at once to find out what it looks like.
const STATE_PAGE_EVENTS: usize = 2_000;

/// One log as far as it was heard of. There is another hub for another log.
pub(crate) struct Hub {
    recent_events: RecentEvents,
    rooms: Rooms,
    backlog: Backlog,
    archive: Option<Archive>,
    /// Held by whoever reads a room's state again.
    reading: Mutex<()>,
    is_caught_up: watch::Sender<bool>,
    has_unreadable: AtomicBool,
    /// Frames that many clients share.
    pub(crate) fanout: Arc<Fanout>,
    /// Cancelled when this log is over, or the service stops.
    pub(crate) ended: CancellationToken,
}

impl Log for Hub {
    fn recent_events(&self) -> &RecentEvents {
        &self.recent_events
    }

    fn read_older(&self, query: EventQuery) -> PageFuture<'_> {
        Box::pin(self.read(query))
    }
}

fn key(filter: &EventFilter) -> Option<RoomKey> {
    Some((filter.tenant.clone()?, filter.room.clone()?))
}

impl Hub {
    /// Nothing was heard of the log yet.
    pub(crate) fn new(settings: &Settings, ended: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            recent_events: RecentEvents::new(Sequence::START),
            rooms: Rooms::new(settings.max_rooms, settings.room_history_limit),
            backlog: Backlog::new(settings.source.clone()),
            archive: settings.archive.clone(),
            reading: Mutex::default(),
            is_caught_up: watch::Sender::new(false),
            has_unreadable: AtomicBool::new(false),
            fanout: Arc::default(),
            ended,
        })
    }

    /// Everything up to here was taken in.
    pub(crate) fn head(&self) -> Sequence {
        self.recent_events.head()
    }

    /// When the newest event happened.
    pub(crate) fn newest_at(&self) -> Option<Timestamp> {
        self.recent_events.newest_at()
    }

    /// Takes in what arrived, in order: the rooms first, so that whoever is woken finds it there.
    pub(crate) fn take(&self, arrived: Vec<Arrived>) {
        let mut stored = Vec::with_capacity(arrived.len());
        for Arrived { sequence, json } in arrived {
            match serde_json::from_slice(&json) {
                Ok(event) => {
                    let event_stored = StoredEvent::of(&event, json);
                    self.rooms.take(&event, Arc::new(event_stored.clone()));
                    stored.push(event_stored);
                }
                Err(error) => {
                    if !self.has_unreadable.swap(true, Ordering::Relaxed) {
                        tracing::error!(%sequence, %error, "an event cannot be read and is left out, others like it too");
                    }
                }
            }
        }
        let mut rest = stored.as_slice();
        // Parts of a café that was imported have holes; whoever waits looks beyond each.
        while let Some(first) = rest.first() {
            let whole = rest.windows(2).position(|pair| pair[1].sequence != pair[0].sequence.next());
            let (run, others) = rest.split_at(whole.map_or(rest.len(), |at| at + 1));
            if !self.recent_events.publish(run.to_vec()) {
                self.recent_events.reset_to(Sequence(first.sequence.0.saturating_sub(1)));
                self.recent_events.publish(run.to_vec());
            }
            rest = others;
        }
    }

    /// Takes note that everything that there was when the source was last connected has arrived.
    pub(crate) fn caught_up(&self) {
        self.is_caught_up.send_if_modified(|known| !std::mem::replace(known, true));
    }

    /// Tells when that is so.
    pub(crate) fn watch_catching_up(&self) -> watch::Receiver<bool> {
        self.is_caught_up.subscribe()
    }

    /// What a room looks like, as JSON, and the place in the log at which it does.
    ///
    /// # Errors
    /// [`ReadError`] when it was forgotten and the API cannot be asked.
    pub(crate) async fn state(&self, room: &RoomKey) -> Result<(Bytes, Sequence), ReadError> {
        // Taken first: rooms know of everything before the tail does.
        let head = self.head();
        if let State::Known(state, last) = self.rooms.state(room) {
            return Ok((state, head.max(last)));
        }
        let _turn = self.reading.lock().await;
        loop {
            let head = self.head();
            if let State::Known(state, last) = self.rooms.state(room) {
                return Ok((state, head.max(last)));
            }
            self.read_again(room).await?;
        }
    }

    /// Reads a room from its beginning.
    async fn read_again(&self, room: &RoomKey) -> Result<(), ReadError> {
        let filter = EventFilter {
            tenant: Some(room.0.clone()),
            room: Some(room.1.clone()),
            ..EventFilter::default()
        };
        let mut projection = RoomProjection::new(room.0.clone(), room.1.clone());
        let (mut after, mut last) = (Sequence::START, Sequence::START);
        let _kept = self.rooms.begin_reading(room);
        loop {
            let head = self.head();
            let query = EventQuery::after(filter.clone(), after, STATE_PAGE_EVENTS);
            let page = self.backlog.events(&query, head).await?;
            for event in &page.events {
                if let Ok(event) = serde_json::from_slice(&event.json) {
                    projection.apply(&event);
                }
                last = event.sequence;
            }
            after = page.scanned_to;
            if page.events.is_empty() && self.rooms.adopt(room, projection.clone(), last, after) {
                return Ok(());
            }
        }
    }

    /// Where the newest `count` events begin, of those that match and come after `after`. If that cannot be found out, it is
    /// where memory begins.
    pub(crate) async fn newest(&self, filter: &EventFilter, after: Sequence, count: usize) -> Beginning {
        let Some(room) = key(filter) else { return Beginning { after, leaves_out: false } };
        if let Known::This(beginning) = self.rooms.newest(&room, filter, after, count) {
            return beginning;
        }
        match self.backlog.newest(filter, after, count).await {
            Ok(beginning) => beginning,
            Err(ReadError) => {
                let kept = self.rooms.complete_after(&room).unwrap_or(self.head());
                Beginning { after: kept.max(after), leaves_out: kept > after }
            }
        }
    }

    async fn read(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        let Some(room) = key(&query.filter) else { return Err(ReadError) };
        // Taken first: rooms know of everything before the tail does.
        let head = self.head();
        if let Known::This(page) = self.rooms.read(&room, &query, head) {
            return Ok(page);
        }
        if let Some(archive) = &self.archive
            && let Ok(Some(page)) = archive.events(&room, &query).await
        {
            return Ok(page);
        }
        self.backlog.events(&query, head).await
    }
}
