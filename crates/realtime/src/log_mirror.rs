//! The log of the source as far as it was received: its newest events, its rooms, and a way to read older events.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use agentcafe_client::ReceivedEvent;
use agentcafe_domain::kernel::{ActorId, EventType, Sequence, StoredEvent, Timestamp};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_eventlog::{
    DamagedEvents, EventFilter, EventPage, EventQuery, Fanout, Log, LogPosition, LoggedEvent, PageBuilder,
    PageFuture, ReadError, RecentEvents,
};
use bytes::Bytes;
use parking_lot::Mutex as SyncMutex;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::api_history::ApiHistory;
use crate::replay_store::ReplayStore;
use crate::room::ReplayStart;
use crate::room_cache::{RoomCache, RoomKey};
use crate::service::RealtimeSettings;

/// How many events are read at once to load the state of a room.
const LOAD_PAGE_EVENTS: usize = 2_000;
/// The most ranges of damaged events that are kept; past it, the oldest is forgotten.
const MAX_DAMAGED: usize = 1_000;

/// The log of the source as far as it was received. When the source has another log, another mirror replaces this one.
pub(crate) struct LogMirror {
    recent_events: RecentEvents,
    rooms: RoomCache,
    history: ApiHistory,
    replay_store: Option<ReplayStore>,
    /// Held while the state of a room is loaded.
    loading: Mutex<()>,
    is_caught_up: watch::Sender<bool>,
    has_unknown_events: AtomicBool,
    /// The events that the source could not read, in order. Memory and Redis do not have them.
    damaged: SyncMutex<Vec<DamagedEvents>>,
    /// The head of the source when it was last connected; its log may end with sequences without an event.
    source_head: AtomicU64,
    /// The id of the source's log, once it is known.
    log_id: OnceLock<String>,
    /// The log that replaced this one.
    replaced_by: OnceLock<LogPosition>,
    /// The cache of frames that clients share.
    pub(crate) fanout: Arc<Fanout>,
    /// Cancelled when another mirror replaces this one, or the service stops.
    pub(crate) ended: CancellationToken,
}

impl Log for LogMirror {
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

/// The fields of an event's JSON that a [`LoggedEvent`] and its filter need.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventHead {
    pub(crate) sequence: Sequence,
    pub(crate) actor_id: ActorId,
    #[serde(rename = "type")]
    pub(crate) kind: EventType,
}

/// The page that answers a query from `matching` events, as far as its limits allow. If all of them fit, everything up to
/// `scanned_to` was examined.
pub(crate) fn page(
    query: &EventQuery,
    matching: impl Iterator<Item = LoggedEvent>,
    scanned_to: Sequence,
) -> EventPage {
    let mut builder = PageBuilder::new(query);
    for event in matching {
        if builder.add(event.sequence, event.json.len(), || event).is_break() {
            return builder.page;
        }
    }
    EventPage { scanned_to: scanned_to.max(query.after), ..builder.page }
}

impl LogMirror {
    /// An empty mirror.
    pub(crate) fn new(settings: &RealtimeSettings, ended: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            recent_events: RecentEvents::new(Sequence::START),
            rooms: RoomCache::new(settings.max_rooms, settings.room_history_limit),
            history: ApiHistory::new(settings.source.clone()),
            replay_store: settings.replay_store.clone(),
            loading: Mutex::default(),
            is_caught_up: watch::Sender::new(false),
            has_unknown_events: AtomicBool::new(false),
            damaged: SyncMutex::default(),
            source_head: AtomicU64::default(),
            log_id: OnceLock::new(),
            replaced_by: OnceLock::new(),
            fanout: Arc::default(),
            ended,
        })
    }

    /// Everything up to here was received.
    pub(crate) fn head(&self) -> Sequence {
        self.recent_events.head()
    }

    /// The log of the source, as far as it is known.
    pub(crate) fn log_position(&self) -> LogPosition {
        let head = self.head().max(Sequence(self.source_head.load(Ordering::Relaxed)));
        LogPosition { head, log_id: self.log_id().unwrap_or_default().to_owned() }
    }

    /// The id of the log, if it is known.
    pub(crate) fn log_id(&self) -> Option<&str> {
        self.log_id.get().map(String::as_str)
    }

    /// Keeps what the source said about its log.
    pub(crate) fn set_source_log(&self, head: Sequence, log_id: Option<String>) {
        self.source_head.fetch_max(head.0, Ordering::Relaxed);
        if let Some(log_id) = log_id {
            self.log_id.get_or_init(|| log_id);
        }
    }

    /// Keeps which events the source could not read, and wakes the clients, whose streams get a `gap` in their place.
    pub(crate) fn add_damaged(&self, damaged: DamagedEvents) {
        let mut known = self.damaged.lock();
        if known.len() == MAX_DAMAGED {
            known.remove(0);
        }
        known.push(damaged);
        drop(known);
        self.recent_events.reset_to(damaged.to);
    }

    /// Waits until an event with this sequence, or a later one, was received.
    pub(crate) async fn wait_for(&self, sequence: Sequence) {
        let mut head = self.recent_events.subscribe(&EventFilter::default());
        // The sender lives as long as the mirror.
        let _ = head.wait_for(|head| head.last >= sequence).await;
    }

    /// Ends all streams: this log was replaced by another.
    pub(crate) fn replace_by(&self, log: LogPosition) {
        let _ = self.replaced_by.set(log);
        self.ended.cancel();
    }

    /// The log that replaced this one, if one did.
    pub(crate) fn replaced_by(&self) -> Option<&LogPosition> {
        self.replaced_by.get()
    }

    /// The time of the newest event.
    pub(crate) fn newest_at(&self) -> Option<Timestamp> {
        self.recent_events.newest_at()
    }

    /// Applies received events, in order: to the rooms first, so that followers that wake find them there.
    pub(crate) fn apply(&self, received: Vec<ReceivedEvent>) {
        let mut stored = Vec::with_capacity(received.len());
        for ReceivedEvent { sequence, json } in received {
            match serde_json::from_slice(&json) {
                Ok(event) => {
                    let event_stored = StoredEvent::of(&event, json);
                    self.rooms.apply(&event, Arc::new(event_stored.clone()));
                    stored.push(event_stored);
                }
                Err(error) => {
                    if !self.has_unknown_events.swap(true, Ordering::Relaxed) {
                        tracing::error!(%sequence, %error, "an event cannot be parsed and is skipped; further ones are not logged");
                    }
                }
            }
        }
        let mut rest = stored.as_slice();
        // The log of an imported part of a store has gaps. After each, the recent events start anew.
        while let Some(first) = rest.first() {
            let hole = rest.windows(2).position(|pair| pair[1].sequence != pair[0].sequence.next());
            let (run, others) = rest.split_at(hole.map_or(rest.len(), |at| at + 1));
            if !self.recent_events.publish(run.to_vec()) {
                self.recent_events.reset_to(Sequence(first.sequence.0.saturating_sub(1)));
                self.recent_events.publish(run.to_vec());
            }
            rest = others;
        }
    }

    /// Records that everything up to the head at the time of the last connection was received.
    pub(crate) fn set_caught_up(&self) {
        self.is_caught_up.send_if_modified(|known| !std::mem::replace(known, true));
    }

    /// Whether that is so.
    pub(crate) fn watch_caught_up(&self) -> watch::Receiver<bool> {
        self.is_caught_up.subscribe()
    }

    /// The state of a room as JSON, and the position in the log that it reflects.
    ///
    /// # Errors
    /// [`ReadError`] when it was evicted and the API does not answer.
    pub(crate) async fn state(&self, room: &RoomKey) -> Result<(Bytes, Sequence), ReadError> {
        // Read first: events reach the rooms before the head.
        let head = self.head();
        if let Some((state, last)) = self.rooms.state(room) {
            return Ok((state, head.max(last)));
        }
        let _guard = self.loading.lock().await;
        loop {
            let head = self.head();
            if let Some((state, last)) = self.rooms.state(room) {
                return Ok((state, head.max(last)));
            }
            self.load(room).await?;
        }
    }

    /// Loads a room from its first event.
    async fn load(&self, room: &RoomKey) -> Result<(), ReadError> {
        let filter = EventFilter {
            tenant: Some(room.0.clone()),
            room: Some(room.1.clone()),
            ..EventFilter::default()
        };
        let mut projection = RoomProjection::new(room.0.clone(), room.1.clone());
        let (mut after, mut last) = (Sequence::START, Sequence::START);
        let _guard = self.rooms.begin_loading(room);
        loop {
            let head = self.head();
            let query = EventQuery::after(filter.clone(), after, LOAD_PAGE_EVENTS);
            let page = match self.history.events(&query, head).await {
                Err(ReadError::DamagedEvents(damaged)) => {
                    tracing::error!(%damaged, "the state of a room lacks events");
                    after = damaged.to;
                    continue;
                }
                page => page?,
            };
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

    /// Where the newest `count` matching events after `after` begin. If the API does not answer, where memory begins.
    pub(crate) async fn newest(&self, filter: &EventFilter, after: Sequence, count: usize) -> ReplayStart {
        let Some(room) = key(filter) else { return ReplayStart { after, has_gap: false } };
        if let Some(start) = self.rooms.newest(&room, filter, after, count) {
            return start;
        }
        match self.history.newest(filter, after, count).await {
            Ok(start) => start,
            Err(_) => {
                let complete_after = self.rooms.complete_after(&room).unwrap_or(self.head());
                ReplayStart { after: complete_after.max(after), has_gap: complete_after > after }
            }
        }
    }

    async fn read(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        let damaged = self.damaged.lock().iter().find(|damaged| damaged.to > query.after).copied();
        match damaged {
            None => self.read_intact(query).await,
            Some(damaged) if damaged.after <= query.after => {
                Err(ReadError::DamagedEvents(DamagedEvents { after: query.after, ..damaged }))
            }
            Some(DamagedEvents { after: last, .. }) => {
                let mut page = self.read_intact(query).await?;
                page.events.retain(|event| event.sequence <= last);
                page.scanned_to = page.scanned_to.min(last);
                Ok(page)
            }
        }
    }

    /// As [`LogMirror::read`], of a part of the log without damaged events.
    async fn read_intact(&self, query: EventQuery) -> Result<EventPage, ReadError> {
        let Some(room) = key(&query.filter) else { return Err(ReadError::Unavailable) };
        // Read first: events reach the rooms before the head.
        let head = self.head();
        if let Some(page) = self.rooms.read(&room, &query, head) {
            return Ok(page);
        }
        if let Some(replay_store) = &self.replay_store
            && let Ok(Some(page)) = replay_store.events(&room, &query).await
        {
            return Ok(page);
        }
        self.history.events(&query, head).await
    }
}
