//! Recording what was delivered: many attempts of many subscriptions in one command.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Progress, Retrying, Subscription, change,
    counter::{Counted, Counter},
    delivery::{Attempted, Delivery, DlqEntry, DlqStatus, RING_SLOTS, Sent, Source},
};
use crate::{
    command::{Command, Halt, Moment, Reply, Success},
    event::Event,
    ids::Sequence,
    lease::Hold,
    record::{Comparison, Find, Query},
};

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// The event arrived.
    Delivered,
    /// It is tried again.
    Retried(Retrying),
    /// It is given up; if the receiver is gone, so is the subscription.
    GivenUp {
        /// The event.
        event: Box<Event>,
        /// Whether the subscription is disabled.
        is_gone: bool,
    },
}

/// An attempt to deliver an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The event.
    pub sent: Sent,
    /// Which attempt it was, from 1.
    pub number: u32,
    /// How it went.
    pub attempted: Attempted,
    /// What came of it.
    pub fate: Fate,
}

/// How far a subscription has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The subscription.
    pub subscription_id: Uuid,
    /// Everything up to here has been dealt with.
    pub cursor: Sequence,
    /// The attempt that got it there; none if nothing matched.
    pub attempt: Option<Attempt>,
}

/// Records what was delivered.
pub struct RecordDeliveries {
    hold: Option<Hold>,
    reports: Vec<Report>,
}

impl RecordDeliveries {
    /// The most reports of one command.
    pub const BATCH: usize = 256;

    /// Records these, in order, unless another node has taken the lease over from who holds it as `hold` says.
    pub fn new(hold: Option<Hold>, reports: Vec<Report>) -> Self {
        Self { hold, reports }
    }

    /// The event that a report gives up, and whether its subscription is disabled with it.
    fn given_up(report: &Report) -> Option<(&Event, bool)> {
        match &report.attempt.as_ref()?.fate {
            Fate::GivenUp { event, is_gone } => Some((event, *is_gone)),
            Fate::Delivered | Fate::Retried(_) => None,
        }
    }

    fn is_gone(report: &Report) -> bool {
        Self::given_up(report).is_some_and(|(_, is_gone)| is_gone)
    }
}

/// Writes an attempt into the ring of deliveries.
pub(super) fn put_delivery(
    moment: &mut Moment<'_>,
    counter: &mut Counter,
    subscription_id: Uuid,
    (sent, attempted): (&Sent, &Attempted),
    (attempt, source, dlq_id): (u32, Source, Option<Uuid>),
) {
    let sent = sent.clone();
    let delivery = Delivery {
        id: moment.fresh_id(),
        delivery_seq: Sequence(counter.advance()),
        subscription_id,
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
        created_at: moment.now,
    };
    moment.put(&delivery);
}

/// How many of the entries that make room for `dying` new ones were still open.
fn displaced(moment: &Moment<'_>, counter: &Counter, dying: usize) -> Result<u64, Halt> {
    let last = (counter.last + dying as u64).saturating_sub(RING_SLOTS);
    if last == 0 || dying == 0 {
        return Ok(0);
    }
    let oldest = Find::all::<DlqEntry>("dlq_seq", dying)
        .only("dlq_seq", Comparison::AtMost, i64::try_from(last).unwrap_or(i64::MAX))
        .is("status", DlqStatus::Open.as_str());
    Ok(moment.find::<DlqEntry>(oldest)?.len() as u64)
}

/// Writes an event that could not be delivered into its ring, in place of the oldest if the ring is full.
fn put_dead(
    moment: &mut Moment<'_>,
    counter: &mut Counter,
    subscription_id: Uuid,
    event: &Event,
    error: String,
) {
    let dlq_seq = Sequence(counter.advance());
    counter.open += 1;
    let sent = Sent::from(event);
    let entry = DlqEntry {
        id: moment.fresh_id(),
        dlq_seq,
        subscription_id,
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
        created_at: moment.now,
    };
    moment.put(&entry);
}

/// Disables a subscription whose receiver is gone.
pub(super) fn disable(moment: &mut Moment<'_>, id: Uuid) -> Result<(), Halt> {
    let found: Option<Subscription> = moment.get(Subscription::key_of(id))?;
    if let Some(mut subscription) = found.filter(Subscription::is_active) {
        subscription.enabled = false;
        change::put_changed(moment, &mut subscription)?;
    }
    Ok(())
}

/// Takes a report into a subscription's progress.
fn advance(progress: &mut Progress, report: &Report, moment: &Moment<'_>) {
    progress.advance(report.cursor);
    let Some(attempt) = &report.attempt else { return };
    progress.retrying = None;
    match &attempt.fate {
        Fate::Delivered => {
            progress.last_delivered_at = Some(moment.now);
            progress.last_error = None;
            progress.updated_at = Some(moment.now);
        }
        Fate::Retried(retrying) => progress.retrying = Some(retrying.clone()),
        Fate::GivenUp { .. } => {
            progress.last_error.clone_from(&attempt.attempted.error);
            progress.updated_at = Some(moment.now);
        }
    }
}

impl Command for RecordDeliveries {
    fn reads(&self) -> Vec<Query> {
        let counted = [Counted::Deliveries, Counted::DeadLetters, Counted::Revisions].map(Counter::read);
        let progress = |report: &Report| Query::one::<Progress>(Subscription::key_of(report.subscription_id));
        let gone = self.reports.iter().filter(|report| Self::is_gone(report));
        let gone =
            gone.map(|report| Query::one::<Subscription>(Subscription::key_of(report.subscription_id)));
        let hold = self.hold.map(Hold::read);
        self.reports.iter().map(progress).chain(gone).chain(counted).chain(hold).collect()
    }

    fn decide(&self, moment: &mut Moment<'_>) -> Result<Reply, Halt> {
        if let Some(hold) = self.hold {
            hold.check(moment)?;
        }
        let mut deliveries = Counter::load(moment, Counted::Deliveries)?;
        let mut dead = Counter::load(moment, Counted::DeadLetters)?;
        let dying = self.reports.iter().filter(|report| Self::given_up(report).is_some()).count();
        dead.open = dead.open.saturating_sub(displaced(moment, &dead, dying)?);
        let mut known: BTreeMap<Uuid, Option<Progress>> = BTreeMap::new();
        for report in &self.reports {
            let id = report.subscription_id;
            if let std::collections::btree_map::Entry::Vacant(place) = known.entry(id) {
                place.insert(moment.get(Subscription::key_of(id))?);
            }
            if let Some(progress) = known.get_mut(&id).and_then(Option::as_mut) {
                advance(progress, report, moment);
            }
            let Some(attempt) = &report.attempt else { continue };
            let how = (attempt.number, Source::Live, None);
            put_delivery(moment, &mut deliveries, id, (&attempt.sent, &attempt.attempted), how);
            if let Some((event, _)) = Self::given_up(report) {
                let error = attempt.attempted.error.clone().unwrap_or_default();
                put_dead(moment, &mut dead, id, event, error);
            }
        }
        known.values().flatten().for_each(|progress| moment.put(progress));
        moment.put(&deliveries);
        moment.put(&dead);
        for gone in self.reports.iter().filter(|report| Self::is_gone(report)) {
            disable(moment, gone.subscription_id)?;
        }
        Ok(Reply::new(Success::Ok, &dead.open))
    }
}
