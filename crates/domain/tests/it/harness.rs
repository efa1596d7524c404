//! A store in memory and its commit driver, one command per batch: records are put, commands decided, events collected.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::inbox::{self, InboxItem};
use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, CallResult, Command, CommandContext, CommandError, CorrelationId, DomainError,
    Effects, Event, Fields, Hash, Heads, IdSource, Key, LoadedRecords, Query, Record, Reply, RequestContext,
    RoomId, Rules, StoredEvent, StoredRecord, Success, TenantId, Timestamp, WriteSet,
};
use agentcafe_domain::keys::{ApiKey, KeyHolder, Principal};
use agentcafe_domain::moderation::{RateGuard, RateWindows};
use serde_json::{Value, json};
use uuid::Uuid;

/// The most often that a batch decides a command.
const MAX_READ_STAGES: usize = 4;

/// Ids that count up from the last one that was given.
#[derive(Clone, Copy)]
pub(crate) struct CountingIds(pub(crate) u128);

impl IdSource for CountingIds {
    fn fresh(&mut self, _now: Timestamp) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }
}

/// The store, and what the next command gets from its surroundings.
pub(crate) struct Harness {
    pub(crate) now: Timestamp,
    pub(crate) rules: Rules,
    pub(crate) correlation_id: CorrelationId,
    /// The idempotency key of the request; none for background work.
    pub(crate) request: Option<Hash>,
    /// The response to the external call that the next command makes.
    pub(crate) response: Option<CallResult>,
    pub(crate) heads: Heads,
    pub(crate) ids: CountingIds,
    /// The log, as it is stored.
    pub(crate) stored: Vec<StoredEvent>,
    /// The log, read back.
    pub(crate) events: Vec<Event>,
    records: HashMap<(&'static str, Key), StoredRecord>,
    windows: RateWindows,
}

impl Harness {
    /// An empty store.
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::from_millis(1_000_000),
            rules: Rules::default(),
            correlation_id: CorrelationId::parse("c").unwrap(),
            request: None,
            response: None,
            heads: Heads::default(),
            ids: CountingIds(0),
            stored: Vec::new(),
            events: Vec::new(),
            records: HashMap::new(),
            windows: RateWindows::default(),
        }
    }

    /// Stores a record.
    pub(crate) fn put<R: Record>(&mut self, record: &R) {
        self.records.insert((R::TABLE.name, record.key()), StoredRecord::of(record));
    }

    /// All records of a kind.
    pub(crate) fn all<R: Record>(&self) -> Vec<R> {
        let of_kind = self.records.iter().filter(|((table, _), _)| *table == R::TABLE.name);
        of_kind.map(|(_, record)| record.read().unwrap()).collect()
    }

    /// The recipients of inbox items with the events' types, in order.
    pub(crate) fn notified(&self) -> Vec<String> {
        let mut items: Vec<InboxItem> = self.all();
        items.sort_by_key(|item| item.inbox_seq);
        items.iter().map(|item| format!("{} {}", item.actor_id, item.source_event_type.as_str())).collect()
    }

    fn load(&self, query: &Query) -> Vec<StoredRecord> {
        match query {
            Query::One(table, key) => {
                self.records.get(&(table.name, key.clone())).cloned().into_iter().collect()
            }
            Query::Many(find) => {
                let of_kind = self.records.iter().filter(|((table, _), _)| *table == find.table.name);
                let found = of_kind.map(|(_, record)| record).filter(|record| find.matches(record));
                let mut found: Vec<_> = found.cloned().collect();
                found.sort_by(|left, right| find.compare(left, right));
                found.truncate(find.limit);
                found
            }
        }
    }

    /// Decides a command in a batch of its own, and commits what it wrote, if it may be committed.
    pub(crate) fn attempt(&mut self, command: &(impl Command + ?Sized)) -> Result<Reply, CommandError> {
        let mut loaded: LoadedRecords = HashMap::new();
        loaded.extend(command.reads().into_iter().map(|query| (query.clone(), self.load(&query))));
        for _ in 0..MAX_READ_STAGES {
            let mut ids = self.ids;
            let mut ctx = CommandContext {
                now: self.now,
                rules: &self.rules,
                correlation_id: self.correlation_id.clone(),
                request: self.request.map(|key| RequestContext { id: "r", key, by: None }),
                outcome: self.response.as_ref(),
                loaded: &loaded,
                written: &WriteSet::default(),
                ids: &mut ids,
                guard: &mut RateGuard::new(&mut self.windows, self.rules.get(), self.now),
                notify: inbox::deliver,
                effects: Effects::none(self.heads),
            };
            let decided = command.decide(&mut ctx);
            let effects = ctx.effects;
            if let Err(CommandError::Load(queries)) = decided {
                for query in queries {
                    let found = self.load(&query);
                    loaded.insert(query, found);
                }
                continue;
            }
            if matches!(decided, Ok(_) | Err(CommandError::DeniedAudited(_))) {
                self.ids = ids;
                self.commit(effects);
            }
            return decided;
        }
        panic!("the command asked for more than {MAX_READ_STAGES} read stages");
    }

    /// As [`Harness::attempt`]: which success it was and its data, or what refused it.
    pub(crate) fn decide(
        &mut self,
        command: &(impl Command + ?Sized),
    ) -> Result<(Success, Value), DomainError> {
        match self.attempt(command) {
            Ok(reply) => Ok((reply.success, serde_json::from_slice(&reply.data).unwrap())),
            Err(CommandError::Refused(error)) => Err(*error),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, effects: Effects) {
        self.heads = effects.heads;
        let read = |event: &StoredEvent| serde_json::from_slice::<Event>(&event.json).unwrap();
        self.events.extend(effects.events.iter().map(read));
        self.stored.extend(effects.events);
        for (table, records) in effects.written.tables() {
            for (key, record) in records {
                match record {
                    Some(record) => self.records.insert((table.name, key.clone()), record.clone()),
                    None => self.records.remove(&(table.name, key.clone())),
                };
            }
        }
    }
}

/// The fields of a body.
pub(crate) fn body(value: &Value) -> Fields {
    Fields::of_body(value.as_object().cloned().unwrap())
}

/// The caller with an API key like this one of the tenant `default`.
pub(crate) fn holder(key: Value) -> Principal {
    let mut whole = json!({
        "keyId": "k1", "name": null, "tenantId": "default", "actors": ["Nova"], "rooms": ["*"],
        "scopes": ["act", "listen", "hook", "react", "follow"], "secrets": [], "expiresAt": null, "disabledAt": null,
        "createdAt": Timestamp::from_millis(0), "createdBy": "root",
    });
    whole.as_object_mut().unwrap().extend(key.as_object().cloned().unwrap());
    let key: ApiKey = serde_json::from_value(whole).unwrap();
    Principal::Key(Arc::new(KeyHolder::new(key, "key")))
}

/// The fields of a caller's body.
pub(crate) fn body_of(caller: &Principal, value: &Value) -> Fields {
    body(value).bound_to(caller.binding().cloned())
}

/// The id of an actor.
pub(crate) fn id(name: &str) -> ActorId {
    ActorId::parse(name).unwrap()
}

/// An actor in the main room of the default tenant.
pub(crate) fn actor(name: &str) -> ActorInRoom {
    ActorInRoom { tenant_id: TenantId::default(), room_id: RoomId::main(), actor_id: id(name) }
}

/// The details of an error that `want` names.
#[track_caller]
pub(crate) fn assert_details(error: &DomainError, want: &Value) {
    for (name, value) in want.as_object().unwrap() {
        assert_eq!(&error.details[name], value, "{name} of {error}");
    }
}
