//! What a command is, and what it can read and write while it is decided.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kernel::actor::ActorInRoom;
use crate::kernel::error::DomainError;
use crate::kernel::event::{
    Annotation, EmittedEvent, EventHeader, Notification, Payload, RequestAuthor, StoredEvent,
};
use crate::kernel::external_call::{CallRequest, CallResult, ExternalCall};
use crate::kernel::guard::ActionGuard;
use crate::kernel::idempotency::Hash;
use crate::kernel::ids::{CorrelationId, Sequence};
use crate::kernel::record::{CorruptRecord, Key, Query, Record, RecordQuery, StoredRecord, Table};
use crate::kernel::rules::Rules;
use crate::kernel::time::Timestamp;
use crate::kernel::trace::{Step, StepCode};

/// How many records a list loads beyond its limit, in steps, when the batch has written records of its kind: coarse, so
/// that what the batch writes meanwhile seldom needs another load.
const SPARE_RECORDS: usize = 1_024;

/// A mutation. Deciding it is pure: everything that it reads and writes goes through the [`CommandContext`].
pub trait Command: Send + Sync {
    /// What it always reads, so that a batch can load this for all its commands at once.
    fn reads(&self) -> Vec<Query>;

    /// The actor whose action the [`ActionGuard`] will check, if it will check one.
    fn guarded_actor(&self) -> Option<ActorInRoom> {
        None
    }

    /// Decides, from the beginning each time it is called.
    ///
    /// # Errors
    /// [`CommandError::Refused`] is the answer; [`CommandError::Load`] names one more record to load before it is called again.
    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError>;
}

/// Why a command did not succeed.
#[derive(Debug)]
pub enum CommandError {
    /// A rule refused it.
    Refused(Box<DomainError>),
    /// A rule refused it, and what the command wrote about that is committed: an entry of the audit trail.
    DeniedAudited(Box<DomainError>),
    /// It needs the response to this call first; then it is decided again.
    External(ExternalCall),
    /// It needs these to be loaded first.
    Load(Vec<Query>),
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

/// The kind of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// Done; the answer shows the state after it.
    Ok,
    /// It created something.
    Created,
    /// It was accepted as an event.
    Accepted,
}

/// The answer to a command that succeeded, rendered once and stored for replays.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The kind of success.
    pub success: Success,
    /// The `data` of the response as JSON.
    pub data: Vec<u8>,
    /// What is stored for replays, if it is less than the answer: a secret is shown once and never stored here.
    pub stored: Option<Vec<u8>>,
}

impl Reply {
    /// Renders an answer.
    pub fn new(success: Success, data: &impl Serialize) -> Self {
        Self { success, data: rendered(data), stored: None }
    }

    /// Renders an answer of which replays get only `stored`.
    pub fn shown_once(success: Success, data: &impl Serialize, stored: &impl Serialize) -> Self {
        Self { success, data: rendered(data), stored: Some(rendered(stored)) }
    }

    /// The answer that replays get.
    #[must_use]
    pub fn to_store(&self) -> Self {
        let data = self.stored.as_ref().unwrap_or(&self.data).clone();
        Self { success: self.success, data, stored: None }
    }
}

fn rendered(data: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(data).expect("an answer has text keys and finite numbers")
}

/// Where fresh ids come from.
pub trait IdSource: Send {
    /// A unique id; the ids of one source grow with time, so that indexes grow at their end.
    fn fresh(&mut self, now: Timestamp) -> Uuid;
}

/// Records that were written but not committed yet, by key. `None` means deleted.
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

    /// Adds everything that `later` wrote, which replaces earlier writes.
    pub fn absorb(&mut self, later: Self) {
        for (name, (table, records)) in later.0 {
            self.0.entry(name).or_insert_with(|| (table, HashMap::new())).1.extend(records);
        }
    }

    /// All writes, table by table.
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

    /// Merges the writes into the result of a query, whatever its limit.
    fn merge(&self, find: &RecordQuery, found: &mut Vec<StoredRecord>) {
        let Some((_, records)) = self.0.get(find.table.name) else { return };
        found.retain(|record| !records.contains_key(&record.key));
        found.extend(records.values().flatten().filter(|record| find.matches(record)).cloned());
        found.sort_by(|left, right| find.compare(left, right));
    }
}

/// What a batch has loaded from its store.
pub type LoadedRecords = HashMap<Query, Vec<StoredRecord>>;

/// The last numbers that were assigned; a batch continues from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The last event's sequence.
    pub sequence: Sequence,
    /// The last inbox item's sequence.
    pub inbox: Sequence,
    /// The last audit entry's sequence.
    pub audit: Sequence,
}

/// What a command has written so far.
#[derive(Debug)]
pub struct Effects {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// The records.
    pub written: WriteSet,
    /// The trace's steps.
    pub steps: Vec<Step>,
    /// The member that the payloads of the following events get.
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

/// The request that submitted a command.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'t> {
    /// The `x-request-id`.
    pub id: &'t str,
    /// The identity of its idempotency key.
    pub key: Hash,
    /// The API key that it came in with, if it is one.
    pub by: Option<&'t RequestAuthor>,
}

/// Delivers a notification of an event that was appended.
pub type Notify = fn(&mut CommandContext<'_>, &StoredEvent, Notification) -> Result<(), CommandError>;

/// What a command sees and writes while it is decided.
pub struct CommandContext<'t> {
    /// When the batch began.
    pub now: Timestamp,
    /// The settings.
    pub rules: &'t Rules,
    /// The correlation id of the events: the request's, unless a sweep gives each event its own.
    pub correlation_id: CorrelationId,
    /// The request; none for background work.
    pub request: Option<RequestContext<'t>>,
    /// The response to the external call that the command made.
    pub outcome: Option<&'t CallResult>,
    /// What the store has loaded.
    pub loaded: &'t LoadedRecords,
    /// What the batch's earlier commands wrote.
    pub written: &'t WriteSet,
    /// The source of ids.
    pub ids: &'t mut dyn IdSource,
    /// Checks the command's actions against what the actor did before.
    pub guard: &'t mut dyn ActionGuard,
    /// Puts the notification of an event into an actor's inbox.
    pub notify: Notify,
    /// What this command has written so far.
    pub effects: Effects,
}

impl CommandContext<'_> {
    /// The record with this key, as the batch's earlier commands left it.
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
            None => Err(CommandError::Load(vec![query])),
        }
    }

    /// The records that the query selects, as the batch's earlier commands left them.
    ///
    /// # Errors
    /// [`CommandError::Load`] if they were not loaded.
    pub fn find<R: Record>(&self, find: RecordQuery) -> Result<Vec<R>, CommandError> {
        let written = self.written.count(find.table) + self.effects.written.count(find.table);
        let mut query = Query::Many(find.clone());
        let mut loaded = self.loaded.get(&query).ok_or_else(|| CommandError::Load(vec![query.clone()]))?;
        if written > 0 && loaded.len() >= find.limit {
            // A write may take records out of a list that was cut at its limit: others behind them move up.
            let limit = find.limit + written.next_multiple_of(SPARE_RECORDS);
            query = Query::Many(RecordQuery { limit, ..find.clone() });
            loaded = self.loaded.get(&query).ok_or_else(|| CommandError::Load(vec![query.clone()]))?;
        }
        let mut found = loaded.clone();
        self.written.merge(&find, &mut found);
        self.effects.written.merge(&find, &mut found);
        found.truncate(find.limit);
        Ok(found.iter().map(StoredRecord::read).collect::<Result<_, _>>()?)
    }

    /// Makes sure that these are loaded, all at once.
    ///
    /// # Errors
    /// [`CommandError::Load`] those that are not.
    pub fn load(&self, mut queries: Vec<Query>) -> Result<(), CommandError> {
        queries.retain(|query| !self.loaded.contains_key(query));
        if queries.is_empty() { Ok(()) } else { Err(CommandError::Load(queries)) }
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
        let by = self.request.and_then(|request| request.by).map(|by| by.of_event(&actor.actor_id));
        let header = EventHeader {
            sequence,
            event_id,
            tenant: &actor.tenant_id,
            room: &actor.room_id,
            actor: &actor.actor_id,
            at: self.now,
            correlation: &self.correlation_id,
            cause,
            by: by.as_ref(),
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

    /// The response to the external call that the command made, if it made a request of type `C`.
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
