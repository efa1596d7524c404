//! A café in memory, for tests of what commands decide: records are laid out, commands are decided one after the other.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::inbox::{self, InboxItem};
use crate::kernel::{
    Command, CommandContext, CommandError, CorrelationId, DomainError, Effects, Event, Fields, Heads,
    IdSource, Key, LoadedRecords, Query, Record, Rules, Sequence, StoredRecord, Success, Timestamp, WriteSet,
};
use crate::moderation::{RateGuard, RateWindows};

/// The most often that a batch decides a command.
const MAX_READ_STAGES: usize = 4;

struct Counting(u128);

impl IdSource for Counting {
    fn fresh(&mut self, _now: Timestamp) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }
}

/// The café.
pub(crate) struct Scene {
    /// The present moment.
    pub(crate) now: Timestamp,
    /// Everything that happened.
    pub(crate) events: Vec<Event>,
    records: HashMap<(&'static str, Key), StoredRecord>,
    rules: Rules,
    heads: Heads,
    ids: Counting,
    windows: RateWindows,
}

impl Scene {
    /// An empty café.
    pub(crate) fn new() -> Self {
        let start = Sequence::START;
        Self {
            now: Timestamp::from_millis(1_000_000),
            events: Vec::new(),
            records: HashMap::new(),
            rules: Rules::default(),
            heads: Heads { sequence: start, inbox: start, audit: start },
            ids: Counting(0),
            windows: RateWindows::default(),
        }
    }

    /// Lays out a record.
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
        items
            .iter()
            .map(|item| format!("{} {}", item.actor_id.as_str(), item.source_event_type.as_str()))
            .collect()
    }

    fn answer(&self, query: &Query) -> Vec<StoredRecord> {
        match query {
            Query::One(table, key) => {
                self.records.get(&(table.name, key.clone())).cloned().into_iter().collect()
            }
            Query::Many(find) => {
                let of_kind = self.records.iter().filter(|((table, _), _)| *table == find.table.name);
                let mut found: Vec<_> = of_kind
                    .map(|(_, record)| record)
                    .filter(|record| find.matches(record))
                    .cloned()
                    .collect();
                found.sort_by(|left, right| find.compare(left, right));
                found.truncate(find.limit);
                found
            }
        }
    }

    /// Decides a command in a batch of its own. Answers which success it was, with what data.
    pub(crate) fn decide(
        &mut self,
        command: &(impl Command + ?Sized),
    ) -> Result<(Success, Value), DomainError> {
        let mut loaded = LoadedRecords::new();
        for query in command.reads() {
            let found = self.answer(&query);
            loaded.insert(query, found);
        }
        for _ in 0..MAX_READ_STAGES {
            let mut ctx = CommandContext {
                now: self.now,
                rules: &self.rules,
                correlation_id: CorrelationId::parse("c").unwrap(),
                request: None,
                outcome: None,
                loaded: &loaded,
                written: &WriteSet::default(),
                ids: &mut self.ids,
                guard: &mut RateGuard::new(&mut self.windows, self.rules.get(), self.now),
                notify: inbox::deliver,
                effects: Effects::none(self.heads),
            };
            let decided = command.decide(&mut ctx);
            let effects = ctx.effects;
            match decided {
                Ok(reply) => {
                    self.keep(effects);
                    return Ok((reply.success, serde_json::from_slice(&reply.data).unwrap()));
                }
                Err(CommandError::Load(query)) => {
                    let found = self.answer(&query);
                    loaded.insert(query, found);
                }
                Err(CommandError::Refused(error)) => return Err(*error),
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("the command asked for more than {MAX_READ_STAGES} read stages");
    }

    fn keep(&mut self, effects: Effects) {
        self.heads = effects.heads;
        self.events
            .extend(effects.events.iter().map(|event| serde_json::from_slice::<Event>(&event.json).unwrap()));
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
