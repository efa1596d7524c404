//! What a command is, and what it can see and do at the moment it is decided.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kernel::{
    actor::ActorInRoom,
    error::DomainError,
    event::{Annotation, EmittedEvent, EventHeader, Notification, Payload, StoredEvent},
    external_call::{CallRequest, CallResult, ExternalCall},
    guard::ActionGuard,
    idempotency::Hash,
    ids::{CorrelationId, Sequence},
    record::{CorruptRecord, Key, Query, Record, RecordQuery, StoredRecord, Table},
    rules::Rules,
    time::Timestamp,
    trace::{Step, StepCode},
};

/// In steps of how many records a list is loaded beyond its limit, when a turn has written records of its kind: coarse, so
/// that what the turn writes meanwhile seldom makes it ask again.
const SPARE_RECORDS: usize = 1_024;

/// A mutation. Deciding it is pure: all that it reads, and all that it does, goes through the [`CommandContext`].
pub trait Command: Send + Sync {
    /// What it will surely read, so that a turn can load this for all its commands at once.
    fn reads(&self) -> Vec<Query>;

    /// The actor whose action the [`ActionGuard`] will check, if it will check one.
    fn guarded_actor(&self) -> Option<ActorInRoom> {
        None
    }

    /// Decides, from the beginning each time it is asked.
    ///
    /// # Errors
    /// [`CommandError::Refused`] is the answer; [`CommandError::Load`] asks for one more record and to be asked again.
    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError>;
}

/// Why a command was not done.
#[derive(Debug)]
pub enum CommandError {
    /// A rule said no.
    Refused(Box<DomainError>),
    /// A rule said no, and what the command wrote of that stays: an entry of the audit trail.
    DeniedAudited(Box<DomainError>),
    /// Something must be done outside first; then it is asked again.
    External(ExternalCall),
    /// It must read this first.
    Load(Query),
    /// The store holds something that cannot be read.
    Corrupt(CorruptRecord),
}

impl From<DomainError> for CommandError {
    fn from(error: DomainError) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<CorruptRecord> for CommandError {
    fn from(corrupt: CorruptRecord) -> Self {
        Self::Corrupt(corrupt)
    }
}

/// Which success it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// Done; here is how things stand.
    Ok,
    /// Something new exists.
    Created,
    /// Accepted as an event.
    Accepted,
}

/// The answer to a command that was done, rendered once and kept for replays.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Which success it was.
    pub success: Success,
    /// The `data` of the response as JSON.
    pub data: Vec<u8>,
    /// What is kept for replays, if that is less than what is answered: a secret is shown once and never stored here.
    pub kept: Option<Vec<u8>>,
}

impl Reply {
    /// Renders an answer.
    pub fn new(success: Success, data: &impl Serialize) -> Self {
        Self { success, data: rendered(data), kept: None }
    }

    /// Renders an answer of which replays get only `kept`.
    pub fn shown_once(success: Success, data: &impl Serialize, kept: &impl Serialize) -> Self {
        Self { success, data: rendered(data), kept: Some(rendered(kept)) }
    }

    /// The answer as replays get it.
    #[must_use]
    pub fn to_keep(&self) -> Self {
        let data = self.kept.as_ref().unwrap_or(&self.data).clone();
        Self { success: self.success, data, kept: None }
    }
}

fn rendered(data: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(data).expect("an answer has text keys and finite numbers")
}

/// Where fresh ids come from.
pub trait IdSource: Send {
    /// An id that was never given before; ids of one source grow with time, so that indexes grow at their end.
    fn fresh(&mut self, now: Timestamp) -> Uuid;
}

/// What has been written, by key, on top of what a store holds. `None` stands for deleted.
#[derive(Debug, Default)]
pub struct WriteSet(HashMap<&'static str, (&'static Table, HashMap<Key, Option<StoredRecord>>)>);

impl WriteSet {
    /// Writes or deletes a record.
    pub fn set(&mut self, table: &'static Table, key: Key, record: Option<StoredRecord>) {
        self.0.entry(table.name).or_insert_with(|| (table, HashMap::new())).1.insert(key, record);
    }

    fn get(&self, table: &Table, key: &Key) -> Option<&Option<StoredRecord>> {
        self.0.get(table.name)?.1.get(key)
    }

    /// Puts everything that `later` wrote on top.
    pub fn absorb(&mut self, later: Self) {
        for (name, (table, records)) in later.0 {
            self.0.entry(name).or_insert_with(|| (table, HashMap::new())).1.extend(records);
        }
    }

    /// All that was written, table by table.
    pub fn tables(&self) -> impl Iterator<Item = (&'static Table, &HashMap<Key, Option<StoredRecord>>)> {
        self.0.values().map(|(table, records)| (*table, records))
    }

    /// All records of one kind that were written.
    pub fn records<R: Record>(&self) -> impl Iterator<Item = (&Key, &Option<StoredRecord>)> {
        self.0.get(R::TABLE.name).into_iter().flat_map(|(_, records)| records)
    }

    /// How many records of a kind were written.
    fn count(&self, table: &Table) -> usize {
        self.0.get(table.name).map_or(0, |(_, records)| records.len())
    }

    /// Puts what was written into the answer of a `find`, whatever its limit.
    fn merge(&self, find: &RecordQuery, found: &mut Vec<StoredRecord>) {
        let Some((_, records)) = self.0.get(find.table.name) else { return };
        found.retain(|record| !records.contains_key(&record.key));
        found.extend(records.values().flatten().filter(|record| find.matches(record)).cloned());
        found.sort_by(|left, right| find.compare(left, right));
    }
}

/// What a turn has loaded from its store.
pub type Loaded = HashMap<Query, Vec<StoredRecord>>;

/// The next numbers that a turn will give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The last event's sequence.
    pub sequence: Sequence,
    /// The last inbox item's sequence.
    pub inbox: Sequence,
    /// The last audit entry's sequence.
    pub audit: Sequence,
}

/// What deciding a command has done so far.
#[derive(Debug)]
pub struct Effects {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// The records.
    pub written: WriteSet,
    /// The trace's steps.
    pub steps: Vec<Step>,
    /// What the payloads of the events that follow say beside their own members.
    pub annotation: Option<Annotation>,
    /// The numbers given so far.
    pub heads: Heads,
}

impl Effects {
    /// Nothing done yet, with these numbers given.
    pub fn none(heads: Heads) -> Self {
        Self { events: Vec::new(), written: WriteSet::default(), steps: Vec::new(), annotation: None, heads }
    }
}

/// The request that a command came with.
#[derive(Clone, Copy, Debug)]
pub struct RequestSeen<'t> {
    /// The `x-request-id`.
    pub id: &'t str,
    /// The identity of its idempotency key.
    pub key: Hash,
}

/// Delivers a notification of an event that was appended.
pub type Notify = fn(&mut CommandContext<'_>, &StoredEvent, Notification) -> Result<(), CommandError>;

/// What a turn gives to every command it decides.
pub struct CommandContext<'t> {
    /// When the turn began.
    pub now: Timestamp,
    /// The settings.
    pub rules: &'t Rules,
    /// What events are stamped with: the request's correlation id, unless a sweep gives each its own.
    pub correlation_id: CorrelationId,
    /// The request; none for background work.
    pub request: Option<RequestSeen<'t>>,
    /// The response to the external call that the command asked for.
    pub outcome: Option<&'t CallResult>,
    /// What the store answered.
    pub loaded: &'t Loaded,
    /// What the turn's earlier commands wrote.
    pub written: &'t WriteSet,
    /// Where ids come from.
    pub ids: &'t mut dyn IdSource,
    /// Checks the command's actions against what the actor did before.
    pub guard: &'t mut dyn ActionGuard,
    /// Puts what an event says to an actor into its inbox.
    pub notify: Notify,
    /// What this command has done so far.
    pub effects: Effects,
}

impl CommandContext<'_> {
    /// The record with this key, as all earlier commands left it.
    ///
    /// # Errors
    /// [`CommandError::Load`] if it was not loaded.
    pub fn get<R: Record>(&self, key: Key) -> Result<Option<R>, CommandError> {
        let own = self.effects.written.get(R::TABLE, &key);
        if let Some(record) = own.or_else(|| self.written.get(R::TABLE, &key)) {
            return Ok(record.as_ref().map(StoredRecord::read).transpose()?);
        }
        let query = Query::One(R::TABLE, key);
        match self.loaded.get(&query) {
            Some(found) => Ok(found.first().map(StoredRecord::read).transpose()?),
            None => Err(CommandError::Load(query)),
        }
    }

    /// The records that `find` selects, as all earlier commands left them.
    ///
    /// # Errors
    /// [`CommandError::Load`] if they were not loaded.
    pub fn find<R: Record>(&self, find: RecordQuery) -> Result<Vec<R>, CommandError> {
        let written = self.written.count(find.table) + self.effects.written.count(find.table);
        let mut query = Query::Many(find.clone());
        let mut loaded = self.loaded.get(&query).ok_or_else(|| CommandError::Load(query.clone()))?;
        if written > 0 && loaded.len() >= find.limit {
            // What was written may take records out of a list that was cut at its limit: others behind them move up.
            let limit = find.limit + written.next_multiple_of(SPARE_RECORDS);
            query = Query::Many(RecordQuery { limit, ..find.clone() });
            loaded = self.loaded.get(&query).ok_or_else(|| CommandError::Load(query.clone()))?;
        }
        let mut found = loaded.clone();
        self.written.merge(&find, &mut found);
        self.effects.written.merge(&find, &mut found);
        found.truncate(find.limit);
        Ok(found.iter().map(StoredRecord::read).collect::<Result<_, _>>()?)
    }

    /// Writes a record.
    pub fn put<R: Record>(&mut self, record: &R) {
        let stored = StoredRecord::of(record);
        self.effects.written.set(R::TABLE, stored.key.clone(), Some(stored));
    }

    /// Deletes the record with this key, if there is one.
    pub fn delete<R: Record>(&mut self, key: Key) {
        self.effects.written.set(R::TABLE, key, None);
    }

    /// A fresh id.
    pub fn fresh_id(&mut self) -> Uuid {
        self.ids.fresh(self.now)
    }

    /// Appends an event by `actor`, caused by the event `cause`, and delivers its notifications.
    ///
    /// # Errors
    /// [`CommandError::Load`] for what delivering a notification reads.
    pub fn append<P: Payload>(
        &mut self,
        actor: &ActorInRoom,
        payload: &P,
        cause: Option<&str>,
    ) -> Result<EmittedEvent, CommandError> {
        let sequence = self.effects.heads.sequence.next();
        let event_id = self.fresh_id();
        let header = EventHeader {
            sequence,
            event_id,
            tenant: &actor.tenant_id,
            room: &actor.room_id,
            actor: &actor.actor_id,
            at: self.now,
            correlation: &self.correlation_id,
            cause,
        };
        let event = StoredEvent::render(&header, payload, self.effects.annotation.as_ref());
        self.effects.heads.sequence = sequence;
        for notification in payload.notifications() {
            (self.notify)(self, &event, notification)?;
        }
        self.effects.events.push(event);
        Ok(EmittedEvent { event_id, sequence, event_type: P::TYPE })
    }

    /// Every event appended so far, as answers list them.
    pub fn emitted(&self) -> Vec<EmittedEvent> {
        let emitted = |event: &StoredEvent| EmittedEvent {
            event_id: event.event_id,
            sequence: event.sequence,
            event_type: event.kind,
        };
        self.effects.events.iter().map(emitted).collect()
    }

    /// The response to the external call that the command asked for, if it made a request of type `C`.
    pub fn response_to<C: CallRequest>(&self) -> Option<&C::Response> {
        self.outcome.and_then(CallResult::response_to::<C>)
    }

    /// Adds a step to the request's trace.
    pub fn step(&mut self, code: StepCode, details: Value) {
        self.effects.steps.push(Step { ts: self.now, code, details });
    }

    /// The step of a command route's primary event.
    pub fn step_appended(&mut self, event: &EmittedEvent) {
        self.step(
            StepCode::EventAppendOk,
            json!({ "eventId": event.event_id, "sequence": event.sequence, "eventType": event.event_type }),
        );
    }
}
