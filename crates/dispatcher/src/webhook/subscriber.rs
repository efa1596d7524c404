//! One subscription's follower: reads the log from its cursor, and delivers event after event, strictly in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{Event, Sequence, Timestamp};
use agentcafe_domain::webhooks::delivery::{DeliverySource, EventRef};
use agentcafe_domain::webhooks::record::{DeliveryAttempt, DeliveryOutcome, DeliveryReport};
use agentcafe_domain::webhooks::schedule::{self, AttemptResult, RetryDecision};
use agentcafe_domain::webhooks::{DeliveryProgress, RetryState, Subscription};
use agentcafe_engine::webhook_metrics::{DELIVERED, FAILED, Gauge, RETRIED};
use agentcafe_eventlog::{EventFilter, EventPage, Follower, LoggedEvent};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::privacy::Rooms;
use super::recorder::QueuedReport;
use super::sender::{Answered, DeliveryRequest};
use super::{Shared, Wanted};

/// The place of a follower that has nothing to do.
pub(super) const CAUGHT_UP: u64 = u64::MAX;
/// How many events are read at once, and how much of their JSON, in bytes.
const PAGE: usize = 64;
const PAGE_BYTES: usize = 1 << 20;
/// The most attempts of one subscription that are not recorded yet: what a crash repeats.
const MAX_UNRECORDED: usize = 16;
/// While nothing matches, the cursor is recorded after so many events, or so long.
const CURSOR_EVENTS: u64 = 1_000;
const CURSOR_EVERY: Duration = Duration::from_secs(60);
/// The pause after the store could not be read.
const PAUSE: Duration = Duration::from_millis(500);
/// Whose events seldom match does not look at each turn's: the pause grows with each look in vain, up to the second.
const BACKOFF: Duration = Duration::from_millis(5);
const LONGEST_BACKOFF: Duration = Duration::from_millis(100);
/// How long an attempt under way may go on when the follower is to end.
const GRACE: Duration = Duration::from_secs(1);

/// Follows the log for one subscription.
pub(super) struct Subscriber {
    id: Uuid,
    shared: Arc<Shared>,
    wanted: watch::Receiver<Arc<Wanted>>,
    ending: CancellationToken,
    /// The event it works at, for those who measure.
    place: Arc<AtomicU64>,
    unrecorded: Arc<Semaphore>,
    /// Whether its target was slow the last time.
    is_slow: bool,
    looks_in_vain: u32,
}

/// Ends the follower.
struct Ended;

/// Counts something for as long as it goes on, however it ends.
struct CounterKind<'g>(&'g Gauge);

impl<'g> CounterKind<'g> {
    fn one(gauge: &'g Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for CounterKind<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Everything the loop carries along.
struct DeliveryState {
    progress: DeliveryProgress,
    /// Everything up to here has been dealt with.
    processed: Sequence,
    /// Everything up to here has been recorded, or is about to be.
    queued: Sequence,
    store_cursor_at: Instant,
}

impl Subscriber {
    pub(super) fn new(
        id: Uuid,
        shared: Arc<Shared>,
        wanted: watch::Receiver<Arc<Wanted>>,
        ending: CancellationToken,
        place: Arc<AtomicU64>,
    ) -> Self {
        let unrecorded = Arc::new(Semaphore::new(MAX_UNRECORDED));
        Self { id, shared, wanted, ending, place, unrecorded, is_slow: false, looks_in_vain: 0 }
    }

    /// Delivers until it is told to end.
    pub(super) async fn run(mut self) {
        let Some(progress) = self.load().await else { return };
        let (processed, queued) = (progress.cursor, progress.cursor);
        let mut state = DeliveryState { progress, processed, queued, store_cursor_at: later() };
        let _: Result<(), Ended> = self.follow(&mut state).await;
        self.place.store(CAUGHT_UP, Ordering::Relaxed);
        if state.processed > state.queued {
            let place = Arc::clone(&self.unrecorded).acquire_owned().await.ok();
            self.enqueue(&mut state, None, place).await;
        }
        // Who follows after this one begins where it has ended, so that must be recorded first.
        let _ = self.unrecorded.acquire_many(MAX_UNRECORDED as u32).await;
    }

    /// How far it had come; none if it was deleted, or is to end.
    async fn load(&self) -> Option<DeliveryProgress> {
        loop {
            match self.shared.engine.store.get(Subscription::key_of(self.id)).await {
                Ok(progress) => return progress,
                Err(_) if self.ending.is_cancelled() => return None,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn current(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted.borrow())
    }

    async fn follow(&mut self, state: &mut DeliveryState) -> Result<(), Ended> {
        loop {
            self.wanted.mark_unchanged();
            let filter = filter_of(&self.current().subscription);
            let store = Arc::clone(&self.shared.engine.store);
            let mut follower = Follower::new(store, filter.clone(), state.processed);
            while filter_of(&self.current().subscription) == filter {
                let page = self.next_page(&mut follower, state).await?;
                self.deal_with(&page, &filter, state).await?;
            }
        }
    }

    /// The next matching events; a page without any if the subscription was changed.
    async fn next_page(
        &mut self,
        follower: &mut Follower,
        state: &mut DeliveryState,
    ) -> Result<EventPage, Ended> {
        loop {
            if self.ending.is_cancelled() {
                return Err(Ended);
            }
            if follower.has_more() {
                match follower.read_within(PAGE, PAGE_BYTES).await {
                    Ok(page) if page.events.is_empty() => {
                        self.looks_in_vain = self.looks_in_vain.saturating_add(1);
                        self.unless_ending(sleep((BACKOFF * self.looks_in_vain).min(LONGEST_BACKOFF)))
                            .await?;
                    }
                    Ok(page) => {
                        self.looks_in_vain = 0;
                        return Ok(page);
                    }
                    Err(_) => self.unless_ending(sleep(PAUSE)).await?,
                }
            }
            state.processed = follower.scanned_to();
            let moved = self.store_now_and_then(state).await;
            self.place.store(CAUGHT_UP, Ordering::Relaxed);
            tokio::select! {
                () = self.ending.cancelled() => return Err(Ended),
                () = follower.wait_for_more() => {}
                _ = self.wanted.changed() => {
                    return Ok(EventPage { events: Vec::new(), scanned_to: state.processed });
                }
                () = sleep_until(state.store_cursor_at), if moved => {}
            }
        }
    }

    /// Has the cursor recorded if it has moved far, or long ago. Whether it has moved and is not recorded.
    async fn store_now_and_then(&self, state: &mut DeliveryState) -> bool {
        let moved = state.processed.0.saturating_sub(state.queued.0);
        if moved >= CURSOR_EVENTS || (moved > 0 && state.store_cursor_at <= Instant::now()) {
            self.enqueue(state, None, None).await;
            return false;
        }
        moved > 0
    }

    async fn unless_ending<T>(&self, work: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::select! {
            () = self.ending.cancelled() => Err(Ended),
            done = work => Ok(done),
        }
    }

    /// Delivers a page, until its end or until the filter it was read with no longer holds.
    async fn deal_with(
        &mut self,
        page: &EventPage,
        filter: &EventFilter,
        state: &mut DeliveryState,
    ) -> Result<(), Ended> {
        let mut rooms = Rooms::default();
        for logged in &page.events {
            if filter_of(&self.current().subscription) != *filter {
                return Ok(());
            }
            self.place.store(logged.sequence.0, Ordering::Relaxed);
            if !state.progress.is_skipped(logged.sequence)
                && let Some(event) = parsed(logged)
                && self.is_admitted(&mut rooms, &event).await?
            {
                let metrics = Arc::clone(&self.shared.engine.metrics);
                let _queued = CounterKind::one(&metrics.webhooks.queued);
                if !self.deliver(&event, &logged.json, filter, state).await? {
                    return Ok(());
                }
                metrics.webhooks.processed.inc();
            }
            state.processed = logged.sequence;
            self.store_now_and_then(state).await;
        }
        state.processed = page.scanned_to;
        Ok(())
    }

    async fn is_admitted(&self, rooms: &mut Rooms, event: &Event) -> Result<bool, Ended> {
        loop {
            let wanted = self.current();
            match rooms.admit(&self.shared.engine, &wanted.subscription, event).await {
                Ok(admitted) => return Ok(admitted),
                Err(_) => self.unless_ending(sleep(PAUSE)).await?,
            }
        }
    }

    /// Attempts until the event has arrived or is given up; `false` if other events are wanted now.
    async fn deliver(
        &mut self,
        event: &Event,
        json: &Bytes,
        filter: &EventFilter,
        state: &mut DeliveryState,
    ) -> Result<bool, Ended> {
        let sent = EventRef::from(event);
        let body = body_of(json);
        let before = state.progress.retrying.take().filter(|retrying| retrying.event_id == event.event_id);
        let (mut number, mut due) = match before {
            Some(RetryState { failed, next_attempt_at, .. }) => (failed + 1, Some(next_attempt_at)),
            None => (1, None),
        };
        loop {
            if let Some(at) = due {
                self.wait_until(at).await?;
            }
            let place = self.place_to_record().await?;
            self.know_all_changes().await?;
            let wanted = self.current();
            if filter_of(&wanted.subscription) != *filter {
                return Ok(false);
            }
            let answered = self.attempt(&wanted, &sent, body.clone()).await?;
            let outcome = self.outcome(&wanted.subscription, event, number, &answered);
            due = match &outcome {
                DeliveryOutcome::Retried(retrying) => Some(retrying.next_attempt_at),
                DeliveryOutcome::Delivered | DeliveryOutcome::GivenUp { .. } => None,
            };
            let is_gone = matches!(outcome, DeliveryOutcome::GivenUp { is_gone: true, .. });
            if due.is_none() {
                state.processed = event.sequence;
            }
            let attempted = answered.attempted;
            let attempt = DeliveryAttempt { sent: sent.clone(), number, attempted, outcome };
            self.enqueue(state, Some(attempt), Some(place)).await;
            if is_gone {
                // Once that is recorded, the subscription is disabled; until then nothing more is sent.
                self.ending.cancelled().await;
                return Err(Ended);
            }
            if due.is_none() {
                return Ok(true);
            }
            number += 1;
        }
    }

    /// A change of the subscription ends the pause: what was wrong may be right now.
    async fn wait_until(&mut self, at: Timestamp) -> Result<(), Ended> {
        let ms = at.as_millis() - self.shared.engine.now().as_millis();
        tokio::select! {
            () = self.ending.cancelled() => Err(Ended),
            _ = self.wanted.changed() => Ok(()),
            () = sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))) => Ok(()),
        }
    }

    async fn place_to_record(&self) -> Result<OwnedSemaphorePermit, Ended> {
        let place = Arc::clone(&self.unrecorded).acquire_owned();
        self.unless_ending(place).await?.map_err(|_| Ended)
    }

    /// Makes sure that nobody has changed, disabled or deleted the subscription before what it is about to deliver happened.
    async fn know_all_changes(&self) -> Result<(), Ended> {
        let known = *self.shared.changes.borrow();
        let mut applied = self.shared.applied.subscribe();
        self.unless_ending(applied.wait_for(|number| *number >= known)).await?.map_err(|_| Ended)?;
        if self.ending.is_cancelled() { Err(Ended) } else { Ok(()) }
    }

    async fn attempt(&mut self, wanted: &Wanted, sent: &EventRef, body: Bytes) -> Result<Answered, Ended> {
        let shared = Arc::clone(&self.shared);
        let request = DeliveryRequest {
            subscription_id: self.id,
            target_url: &wanted.subscription.target_url,
            secret: &wanted.secret,
            timeout: Duration::from_millis(wanted.subscription.timeout_ms),
            sent,
            body,
            source: DeliverySource::Live,
        };
        let in_flight = &shared.engine.metrics.webhooks.in_flight;
        let sending = shared.limiter.attempt(self.is_slow, async {
            let _in_flight = CounterKind::one(in_flight);
            shared.sender.deliver(&request).await
        });
        let ended = async {
            self.ending.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            (answered, is_slow) = sending => {
                self.is_slow = is_slow;
                Ok(answered)
            }
            () = ended => Err(Ended),
        }
    }

    /// Decides what comes of an attempt, and counts it.
    fn outcome(
        &self,
        subscription: &Subscription,
        event: &Event,
        number: u32,
        answered: &Answered,
    ) -> DeliveryOutcome {
        let engine = &self.shared.engine;
        let result = AttemptResult {
            status: answered.attempted.status_code,
            retry_after_ms: answered.retry_after_ms,
            number,
        };
        let [a, b, c, d, e, f, g, h, ..] = engine.random();
        let jitter = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let next = schedule::next(result, subscription.max_retries, subscription.backoff_ms, jitter);
        let (result, outcome) = match next {
            RetryDecision::Done => (DELIVERED, DeliveryOutcome::Delivered),
            RetryDecision::RetryAfter(ms) => {
                let next_attempt_at = engine.now().plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
                let retrying = RetryState { event_id: event.event_id, failed: number, next_attempt_at };
                (RETRIED, DeliveryOutcome::Retried(retrying))
            }
            RetryDecision::GiveUp | RetryDecision::Disable => (
                FAILED,
                DeliveryOutcome::GivenUp {
                    event: Box::new(event.clone()),
                    is_gone: next == RetryDecision::Disable,
                },
            ),
        };
        engine.metrics.webhooks.deliveries.get_or_create(&result).inc();
        outcome
    }

    /// Has it recorded how far this has come.
    async fn enqueue(
        &self,
        state: &mut DeliveryState,
        attempt: Option<DeliveryAttempt>,
        place: Option<OwnedSemaphorePermit>,
    ) {
        state.queued = state.processed;
        state.store_cursor_at = later();
        let report = DeliveryReport { subscription_id: self.id, cursor: state.processed, attempt };
        if self.shared.queued.send(QueuedReport { report, place }).await.is_err() {
            tracing::error!("nobody records deliveries");
        }
    }
}

fn later() -> Instant {
    Instant::now() + CURSOR_EVERY
}

/// Which events a subscription wants.
fn filter_of(subscription: &Subscription) -> EventFilter {
    EventFilter {
        tenant: Some(subscription.tenant_id.clone()),
        room: subscription.room_id.clone(),
        actor: subscription.actor_id.clone(),
        mentioned: None,
        types: subscription.types(),
    }
}

/// What is sent: the bytes of the log, in an envelope.
fn body_of(json: &Bytes) -> Bytes {
    let mut body = BytesMut::with_capacity(json.len() + 10);
    body.put_slice(br#"{"event":"#);
    body.put_slice(json);
    body.put_u8(b'}');
    body.freeze()
}

fn parsed(logged: &LoggedEvent) -> Option<Event> {
    let event = serde_json::from_slice(&logged.json);
    if let Err(error) = &event {
        tracing::error!(%error, sequence = %logged.sequence, "a stored event cannot be read; it is not delivered");
    }
    event.ok()
}
