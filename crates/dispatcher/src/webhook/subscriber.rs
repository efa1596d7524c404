//! The follower of one subscription: reads the log from its cursor, and delivers one event after the other, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{Event, Sequence, Timestamp};
use agentcafe_domain::webhooks::delivery::{DeliverySource, EventRef, SendResult};
use agentcafe_domain::webhooks::record::{DeliveryAttempt, DeliveryOutcome, DeliveryReport};
use agentcafe_domain::webhooks::schedule::{self, AttemptResult, RetryDecision};
use agentcafe_domain::webhooks::{DeliveryProgress, RetryState, Subscription};
use agentcafe_engine::metrics::{DELIVERED, FAILED, GaugeGuard, RETRIED};
use agentcafe_eventlog::{EventFilter, EventPage, Follower, LoggedEvent, ReadError};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::privacy::Rooms;
use super::sender::{DeliveryRequest, LocalShortage};
use super::{FollowerContext, SignedSubscription, TenantShare};

/// The position of a follower without work.
pub(super) const CAUGHT_UP: u64 = u64::MAX;
/// How many events are read at once, and how much of their JSON, in bytes.
const PAGE: usize = 64;
const PAGE_BYTES: usize = 1 << 20;
/// The most unrecorded attempts of one subscription: a crash repeats them.
const MAX_UNRECORDED: usize = 16;
/// While no event matches, the cursor is recorded after this many events, or this time.
const CURSOR_EVENTS: u64 = 1_000;
const CURSOR_INTERVAL: Duration = Duration::from_secs(60);
/// The pause after a failed read.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// A follower pauses after a page without matches, so that it does not read after each commit batch. The pause grows with each
/// such page, from the first value to the second.
const EMPTY_PAGE_BACKOFF: Duration = Duration::from_millis(5);
const MAX_EMPTY_PAGE_BACKOFF: Duration = Duration::from_millis(100);
/// How long an attempt in flight may take when the follower is to end.
const GRACE: Duration = Duration::from_secs(1);

/// Follows the log for one subscription.
pub(super) struct Subscriber {
    id: Uuid,
    context: Arc<FollowerContext>,
    tenant: Arc<TenantShare>,
    subscription: watch::Receiver<Arc<SignedSubscription>>,
    ending: CancellationToken,
    /// The event in progress, for the lag.
    position: Arc<AtomicU64>,
    unrecorded: Arc<Semaphore>,
    /// Whether the last attempt was slow.
    is_slow: bool,
    empty_pages: u32,
}

/// The follower has to end.
struct Ended;

/// The state of the delivery loop.
struct DeliveryState {
    progress: DeliveryProgress,
    /// Everything up to here has been processed.
    processed: Sequence,
    /// Everything up to here has been recorded, or enqueued to be.
    queued: Sequence,
    record_cursor_at: Instant,
}

impl Subscriber {
    pub(super) fn new(
        id: Uuid,
        (context, tenant): (Arc<FollowerContext>, Arc<TenantShare>),
        subscription: watch::Receiver<Arc<SignedSubscription>>,
        ending: CancellationToken,
        position: Arc<AtomicU64>,
    ) -> Self {
        let unrecorded = Arc::new(Semaphore::new(MAX_UNRECORDED));
        let (is_slow, empty_pages) = (false, 0);
        Self { id, context, tenant, subscription, ending, position, unrecorded, is_slow, empty_pages }
    }

    /// Delivers until it has to end.
    pub(super) async fn run(mut self) {
        let Some(progress) = self.load().await else { return };
        let (processed, queued) = (progress.cursor, progress.cursor);
        let record_cursor_at = Instant::now() + CURSOR_INTERVAL;
        let mut state = DeliveryState { progress, processed, queued, record_cursor_at };
        let _: Result<(), Ended> = self.follow(&mut state).await;
        self.position.store(CAUGHT_UP, Ordering::Relaxed);
        if state.processed > state.queued {
            let permit = Arc::clone(&self.unrecorded).acquire_owned().await.ok();
            self.enqueue(&mut state, None, permit).await;
        }
        // The next follower of this subscription resumes from what is recorded, so all of it must be.
        let _ = self.unrecorded.acquire_many(MAX_UNRECORDED as u32).await;
    }

    /// The stored progress; none if the subscription was deleted, or the follower has to end.
    async fn load(&self) -> Option<DeliveryProgress> {
        loop {
            match self.context.engine.store.get(Subscription::key_of(self.id)).await {
                Ok(progress) => return progress,
                Err(_) if self.ending.is_cancelled() => return None,
                Err(_) => sleep(RETRY_AFTER).await,
            }
        }
    }

    fn current(&self) -> Arc<SignedSubscription> {
        Arc::clone(&self.subscription.borrow())
    }

    /// Whether the subscription still selects the events of this filter.
    fn selects(&self, filter: &EventFilter) -> bool {
        filter_of(&self.current().subscription) == *filter
    }

    async fn follow(&mut self, state: &mut DeliveryState) -> Result<(), Ended> {
        loop {
            self.subscription.mark_unchanged();
            let filter = filter_of(&self.current().subscription);
            let store = Arc::clone(&self.context.engine.store);
            let mut follower = Follower::new(store, filter.clone(), state.processed);
            while self.selects(&filter) {
                let page = self.next_page(&mut follower, state).await?;
                self.process(&page, &filter, state).await?;
            }
        }
    }

    /// The next matching events; an empty page if the subscription changed.
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
                        self.empty_pages = self.empty_pages.saturating_add(1);
                        let backoff = EMPTY_PAGE_BACKOFF * self.empty_pages;
                        self.unless_ending(sleep(backoff.min(MAX_EMPTY_PAGE_BACKOFF))).await?;
                    }
                    Ok(page) => {
                        self.empty_pages = 0;
                        return Ok(page);
                    }
                    Err(ReadError::DamagedEvents(damaged)) => {
                        tracing::error!(subscription = %self.id, %damaged, "a webhook does not get events");
                    }
                    Err(_) => self.unless_ending(sleep(RETRY_AFTER)).await?,
                }
            }
            state.processed = follower.scanned_to();
            let has_moved = self.record_cursor_if_due(state).await;
            self.position.store(CAUGHT_UP, Ordering::Relaxed);
            tokio::select! {
                () = self.ending.cancelled() => return Err(Ended),
                () = follower.wait_for_more() => {}
                _ = self.subscription.changed() => {
                    return Ok(EventPage::empty(state.processed));
                }
                () = sleep_until(state.record_cursor_at), if has_moved => {}
            }
        }
    }

    /// Enqueues the cursor if it has moved far, or was recorded long ago. Returns whether it has moved and is not enqueued.
    async fn record_cursor_if_due(&self, state: &mut DeliveryState) -> bool {
        let moved = state.processed.0.saturating_sub(state.queued.0);
        if moved >= CURSOR_EVENTS || (moved > 0 && state.record_cursor_at <= Instant::now()) {
            self.enqueue(state, None, None).await;
            return false;
        }
        moved > 0
    }

    async fn unless_ending<T>(&self, work: impl Future<Output = T>) -> Result<T, Ended> {
        self.ending.run_until_cancelled(work).await.ok_or(Ended)
    }

    /// Delivers a page, until its end or until the filter it was read with changes.
    async fn process(
        &mut self,
        page: &EventPage,
        filter: &EventFilter,
        state: &mut DeliveryState,
    ) -> Result<(), Ended> {
        let mut rooms = Rooms::default();
        for logged in &page.events {
            if !self.selects(filter) {
                return Ok(());
            }
            self.position.store(logged.sequence.0, Ordering::Relaxed);
            if !state.progress.is_skipped(logged.sequence)
                && let Some(event) = parsed(logged)
                && self.is_admitted(&mut rooms, &event).await?
            {
                let _queued = GaugeGuard::new(&self.context.engine.metrics.webhooks.queued);
                if !self.deliver(&event, &logged.json, filter, state).await? {
                    return Ok(());
                }
                self.context.engine.metrics.webhooks.processed.inc();
            }
            state.processed = logged.sequence;
            self.record_cursor_if_due(state).await;
        }
        state.processed = page.scanned_to;
        Ok(())
    }

    async fn is_admitted(&self, rooms: &mut Rooms, event: &Event) -> Result<bool, Ended> {
        loop {
            match rooms.admit(&self.context.engine, &self.current().subscription, event).await {
                Ok(admitted) => return Ok(admitted),
                Err(_) => self.unless_ending(sleep(RETRY_AFTER)).await?,
            }
        }
    }

    /// Makes attempts until the event has arrived or is given up; `false` if the filter changed.
    async fn deliver(
        &mut self,
        event: &Event,
        json: &Bytes,
        filter: &EventFilter,
        state: &mut DeliveryState,
    ) -> Result<bool, Ended> {
        let (sent, body) = (EventRef::from(event), body_of(json));
        let retrying = state.progress.retrying.take().filter(|retrying| retrying.event_id == event.event_id);
        let mut number = retrying.as_ref().map_or(1, |retrying| retrying.failed + 1);
        let mut due = retrying.map(|retrying| retrying.next_attempt_at);
        loop {
            if let Some(at) = due {
                self.wait_until(at).await?;
            }
            let permit = Arc::clone(&self.unrecorded).acquire_owned();
            let permit = self.unless_ending(permit).await?.map_err(|_| Ended)?;
            self.wait_for_changes().await?;
            let current = self.current();
            if filter_of(&current.subscription) != *filter {
                return Ok(false);
            }
            let Ok((attempted, retry_after_ms)) = self.attempt(&current, &sent, body.clone()).await? else {
                // The server itself cannot connect at the moment: that counts as no attempt.
                self.unless_ending(sleep(RETRY_AFTER)).await?;
                continue;
            };
            let status = attempted.status_code;
            let result = AttemptResult { status, retry_after_ms, number };
            let outcome = self.outcome(&current.subscription, event, result);
            due = match &outcome {
                DeliveryOutcome::Retried(retrying) => Some(retrying.next_attempt_at),
                DeliveryOutcome::Delivered | DeliveryOutcome::GivenUp { .. } => None,
            };
            let is_gone = matches!(outcome, DeliveryOutcome::GivenUp { is_gone: true, .. });
            if due.is_none() {
                state.processed = event.sequence;
            }
            let owner = current.subscription.owner.clone();
            let id = self.context.engine.fresh_id();
            let attempt = DeliveryAttempt { id, owner, sent: sent.clone(), number, attempted, outcome };
            self.enqueue(state, Some(attempt), Some(permit)).await;
            if is_gone {
                // Recording it disables the subscription, which ends this follower. Nothing more is sent until then.
                self.ending.cancelled().await;
                return Err(Ended);
            }
            if due.is_none() {
                return Ok(true);
            }
            number += 1;
        }
    }

    /// Waits for the next attempt. A change of the subscription ends the pause, because it may have fixed the cause.
    async fn wait_until(&mut self, at: Timestamp) -> Result<(), Ended> {
        let ms = at.as_millis() - self.context.engine.now().as_millis();
        tokio::select! {
            () = self.ending.cancelled() => Err(Ended),
            _ = self.subscription.changed() => Ok(()),
            () = sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))) => Ok(()),
        }
    }

    /// Waits until the manager has applied all changes of subscriptions, so that nothing is sent after the response to a change
    /// that forbids it.
    async fn wait_for_changes(&self) -> Result<(), Ended> {
        let known = *self.context.changes.borrow();
        let mut applied = self.context.applied.subscribe();
        self.unless_ending(applied.wait_for(|number| *number >= known)).await?.map_err(|_| Ended)?;
        if self.ending.is_cancelled() { Err(Ended) } else { Ok(()) }
    }

    async fn attempt(
        &mut self,
        signed: &SignedSubscription,
        sent: &EventRef,
        body: Bytes,
    ) -> Result<Result<(SendResult, Option<u64>), LocalShortage>, Ended> {
        let request = DeliveryRequest {
            subscription_id: self.id,
            target_url: &signed.target_url,
            secret: &signed.secret,
            timeout: Duration::from_millis(signed.subscription.timeout_ms),
            sent,
            body,
            source: DeliverySource::Live,
        };
        let sending = self.tenant.attempts.attempt(self.is_slow, async {
            let _in_flight = GaugeGuard::new(&self.context.engine.metrics.webhooks.in_flight);
            self.tenant.lookups.scope(self.context.sender.deliver(&request)).await
        });
        let ended = async {
            self.ending.cancelled().await;
            sleep(GRACE).await;
        };
        let (result, is_slow) = tokio::select! {
            biased;
            result = sending => result,
            () = ended => return Err(Ended),
        };
        self.is_slow = is_slow;
        Ok(result)
    }

    /// Decides what follows an attempt, and counts it.
    fn outcome(&self, subscription: &Subscription, event: &Event, result: AttemptResult) -> DeliveryOutcome {
        let engine = &self.context.engine;
        let [a, b, c, d, e, f, g, h] = engine.random();
        let jitter = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let next = schedule::next(result, subscription.max_retries, subscription.backoff_ms, jitter);
        let (label, outcome) = match next {
            RetryDecision::Done => (DELIVERED, DeliveryOutcome::Delivered),
            RetryDecision::RetryAfter(ms) => {
                let next_attempt_at = engine.now().plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
                let failed = result.number;
                let retrying = RetryState { event_id: event.event_id, failed, next_attempt_at };
                (RETRIED, DeliveryOutcome::Retried(retrying))
            }
            RetryDecision::GiveUp | RetryDecision::Disable => {
                let is_gone = next == RetryDecision::Disable;
                (FAILED, DeliveryOutcome::GivenUp { event: Box::new(event.clone()), is_gone })
            }
        };
        engine.metrics.webhooks.deliveries.get(label).inc();
        outcome
    }

    /// Enqueues a report: the cursor, and an attempt if there was one.
    async fn enqueue(
        &self,
        state: &mut DeliveryState,
        attempt: Option<DeliveryAttempt>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        state.queued = state.processed;
        state.record_cursor_at = Instant::now() + CURSOR_INTERVAL;
        let report = DeliveryReport { subscription_id: self.id, cursor: state.processed, attempt };
        let of_tenant = Arc::clone(&self.tenant.reports).acquire_owned().await.ok();
        if self.context.reports.send((report, [permit, of_tenant])).await.is_err() {
            tracing::error!("the recorder of deliveries has ended");
        }
    }
}

/// The filter for the events of a subscription.
fn filter_of(subscription: &Subscription) -> EventFilter {
    EventFilter {
        tenant: Some(subscription.tenant_id.clone()),
        room: subscription.room_id.clone(),
        actor: subscription.actor_id.clone(),
        mentioned: None,
        types: subscription.types(),
    }
}

/// The body of a delivery: the JSON of the log in an envelope.
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
        tracing::error!(%error, sequence = %logged.sequence, "a stored event cannot be parsed and is not delivered");
    }
    event.ok()
}
