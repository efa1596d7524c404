//! Recording deliveries: many attempts of many subscriptions in one command.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use uuid::Uuid;

use super::counter::{CounterKind, WebhookCounter};
use super::delivery::{Delivery, DeliverySource, DlqEntry, DlqStatus, EventRef, SendResult};
use super::retention::make_room;
use super::{DeliveryProgress, RetryState, Subscription, change};
use crate::kernel::{
    Command, CommandContext, CommandError, Event, LeaseToken, Owner, Query, Reply, Sequence, Success,
};

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryOutcome {
    /// The event arrived.
    Delivered,
    /// It is tried again.
    Retried(RetryState),
    /// It is given up; if the receiver answered 410, the subscription is disabled.
    GivenUp {
        /// The event.
        event: Box<Event>,
        /// Whether the subscription is disabled.
        is_gone: bool,
    },
}

/// An attempt to deliver an event.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryAttempt {
    /// Identifies the attempt: one that is recorded again, because the outcome of a commit was lost, has the same id.
    pub id: Uuid,
    /// The owner of the subscription, if it has one.
    pub owner: Option<Owner>,
    /// The event.
    pub sent: EventRef,
    /// Which attempt it was, from 1.
    pub number: u32,
    /// How it went.
    pub attempted: SendResult,
    /// What follows from it.
    pub outcome: DeliveryOutcome,
}

/// A report on a subscription's deliveries.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryReport {
    /// The subscription.
    pub subscription_id: Uuid,
    /// Every event up to here has been processed.
    pub cursor: Sequence,
    /// The attempt; none if no event matched.
    pub attempt: Option<DeliveryAttempt>,
}

/// The progress of subscriptions.
type ProgressById = BTreeMap<Uuid, Option<DeliveryProgress>>;

/// Records attempts to deliver events: each once, however often it is recorded.
pub struct RecordDeliveries {
    token: Option<LeaseToken>,
    reports: Vec<DeliveryReport>,
}

impl RecordDeliveries {
    /// The most reports of one command.
    pub const BATCH: usize = 256;

    /// Records these, in order, unless another node has acquired the lease of `token`.
    pub fn new(token: Option<LeaseToken>, reports: Vec<DeliveryReport>) -> Self {
        Self { token, reports }
    }

    /// The event that a report gives up, and whether its subscription is disabled with it.
    fn given_up(report: &DeliveryReport) -> Option<(&Event, bool)> {
        match &report.attempt.as_ref()?.outcome {
            DeliveryOutcome::GivenUp { event, is_gone } => Some((event, *is_gone)),
            DeliveryOutcome::Delivered | DeliveryOutcome::Retried(_) => None,
        }
    }

    fn is_gone(report: &DeliveryReport) -> bool {
        Self::given_up(report).is_some_and(|(_, is_gone)| is_gone)
    }

    /// The progress of the subscriptions, as it is stored; none of those that were deleted.
    fn progress(&self, ctx: &CommandContext<'_>) -> Result<ProgressById, CommandError> {
        let mut known = ProgressById::new();
        for id in self.reports.iter().map(|report| report.subscription_id) {
            if let Entry::Vacant(place) = known.entry(id) {
                place.insert(ctx.get(Subscription::key_of(id))?);
            }
        }
        Ok(known)
    }

    /// The reports that are not recorded yet. A command is recorded as a whole or not at all, so the last attempt of a subscription
    /// tells.
    fn unrecorded(&self, known: &ProgressById) -> Vec<&DeliveryReport> {
        let attempt_of =
            |report: &DeliveryReport| Some((report.subscription_id, report.attempt.as_ref()?.id));
        let last: BTreeMap<Uuid, Uuid> = self.reports.iter().filter_map(attempt_of).collect();
        let is_recorded = |id: &Uuid| {
            let recorded =
                known.get(id).and_then(Option::as_ref).and_then(|progress| progress.last_attempt_id);
            recorded.is_some() && recorded.as_ref() == last.get(id)
        };
        self.reports.iter().filter(|report| !is_recorded(&report.subscription_id)).collect()
    }

    /// Makes room for the attempts, and for the events that are given up.
    fn make_room(
        ctx: &mut CommandContext<'_>,
        reports: &[&DeliveryReport],
        deliveries: &mut WebhookCounter,
        dead: &mut WebhookCounter,
    ) -> Result<(), CommandError> {
        let attempts = reports.iter().filter(|report| report.attempt.is_some()).count();
        make_room::<Delivery>(ctx, deliveries, attempts, "delivery_seq")?;
        let dying = reports.iter().filter(|report| Self::given_up(report).is_some()).count();
        let deleted = make_room::<DlqEntry>(ctx, dead, dying, "dlq_seq")?;
        let open = deleted.iter().filter(|entry| entry.status == DlqStatus::Open).count();
        dead.open = dead.open.saturating_sub(open as u64);
        Ok(())
    }
}

/// Writes an attempt.
pub(super) fn put_delivery(
    ctx: &mut CommandContext<'_>,
    counter: &mut WebhookCounter,
    (subscription_id, owner): (Uuid, Option<&Owner>),
    (sent, attempted): (&EventRef, &SendResult),
    (attempt, source, dlq_id): (u32, DeliverySource, Option<Uuid>),
) {
    let sent = sent.clone();
    counter.keep(&sent.tenant_id);
    let delivery = Delivery {
        id: ctx.fresh_id(),
        delivery_seq: Sequence(counter.advance()),
        subscription_id,
        owner: owner.cloned(),
        event_id: sent.event_id,
        event_type: sent.event_type,
        tenant_id: sent.tenant_id,
        room_id: sent.room_id,
        actor_id: sent.actor_id,
        success: attempted.error.is_none(),
        attempt,
        source,
        dlq_id,
        duration_ms: attempted.duration_ms,
        status_code: attempted.status_code,
        error: attempted.error.clone(),
        created_at: ctx.now,
    };
    ctx.put(&delivery);
}

/// Writes an event that could not be delivered into the dead-letter queue.
fn put_dead(
    ctx: &mut CommandContext<'_>,
    counter: &mut WebhookCounter,
    (subscription_id, owner): (Uuid, Option<&Owner>),
    event: &Event,
    error: String,
) {
    let dlq_seq = Sequence(counter.advance());
    counter.open += 1;
    let sent = EventRef::from(event);
    counter.keep(&sent.tenant_id);
    let entry = DlqEntry {
        id: ctx.fresh_id(),
        dlq_seq,
        subscription_id,
        owner: owner.cloned(),
        event_id: sent.event_id,
        event_type: sent.event_type,
        tenant_id: sent.tenant_id,
        room_id: sent.room_id,
        actor_id: sent.actor_id,
        payload: event.clone(),
        error,
        status: DlqStatus::Open,
        replay_count: 0,
        replayed_at: None,
        last_replay_error: None,
        created_at: ctx.now,
    };
    ctx.put(&entry);
}

/// Disables a subscription whose receiver answered 410.
pub(super) fn disable(ctx: &mut CommandContext<'_>, id: Uuid) -> Result<(), CommandError> {
    let found: Option<Subscription> = ctx.get(Subscription::key_of(id))?;
    if let Some(mut subscription) = found.filter(Subscription::is_active) {
        subscription.enabled = false;
        change::put_changed(ctx, &mut subscription)?;
    }
    Ok(())
}

/// Takes a report into a subscription's progress.
fn advance(progress: &mut DeliveryProgress, report: &DeliveryReport, ctx: &CommandContext<'_>) {
    progress.advance(report.cursor);
    let Some(attempt) = &report.attempt else { return };
    progress.last_attempt_id = Some(attempt.id);
    progress.retrying = None;
    match &attempt.outcome {
        DeliveryOutcome::Delivered => {
            progress.last_delivered_at = Some(ctx.now);
            progress.last_error = None;
            progress.updated_at = Some(ctx.now);
        }
        DeliveryOutcome::Retried(retrying) => progress.retrying = Some(retrying.clone()),
        DeliveryOutcome::GivenUp { .. } => {
            progress.last_error.clone_from(&attempt.attempted.error);
            progress.updated_at = Some(ctx.now);
        }
    }
}

impl Command for RecordDeliveries {
    fn reads(&self) -> Vec<Query> {
        let counted = [CounterKind::Deliveries, CounterKind::DeadLetters, CounterKind::Revisions]
            .map(WebhookCounter::read);
        let progress = |report: &DeliveryReport| {
            Query::one::<DeliveryProgress>(Subscription::key_of(report.subscription_id))
        };
        let gone = self.reports.iter().filter(|report| Self::is_gone(report));
        let gone =
            gone.map(|report| Query::one::<Subscription>(Subscription::key_of(report.subscription_id)));
        let token = self.token.map(LeaseToken::read);
        self.reports.iter().map(progress).chain(gone).chain(counted).chain(token).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        if let Some(token) = self.token {
            token.check(ctx)?;
        }
        let mut deliveries = WebhookCounter::load(ctx, CounterKind::Deliveries)?;
        let mut dead = WebhookCounter::load(ctx, CounterKind::DeadLetters)?;
        let mut known = self.progress(ctx)?;
        let reports = self.unrecorded(&known);
        Self::make_room(ctx, &reports, &mut deliveries, &mut dead)?;
        for report in &reports {
            let id = report.subscription_id;
            if let Some(progress) = known.get_mut(&id).and_then(Option::as_mut) {
                advance(progress, report, ctx);
            }
            let Some(attempt) = &report.attempt else { continue };
            let how = (attempt.number, DeliverySource::Live, None);
            let subscription = (id, attempt.owner.as_ref());
            put_delivery(ctx, &mut deliveries, subscription, (&attempt.sent, &attempt.attempted), how);
            if let Some((event, _)) = Self::given_up(report) {
                let error = attempt.attempted.error.clone().unwrap_or_default();
                put_dead(ctx, &mut dead, subscription, event, error);
            }
        }
        known.values().flatten().for_each(|progress| ctx.put(progress));
        ctx.put(&deliveries);
        ctx.put(&dead);
        for gone in reports.iter().filter(|report| Self::is_gone(report)) {
            disable(ctx, gone.subscription_id)?;
        }
        Ok(Reply::new(Success::Ok, &dead.open))
    }
}
