//! A model of the log in memory, with which pages of the store are compared.

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Event, EventType, RoomId, Sequence, TenantId, Timestamp,
};
use agentcafe_store::{Envelope, EventFilter, EventPage, EventQuery};
use proptest::prelude::*;

use crate::commands::{NOTE_TYPES, append_note, command, reply};
use crate::test_store::BEGIN;

const TENANTS: [&str; 2] = ["default", "other"];
const ROOMS: [&str; 3] = ["main", "lounge", "a:b"];
const ACTORS: [&str; 3] = ["Nova", "Kai", "Zoë"];
/// The longest time between two events, in milliseconds.
const MAX_STEP_MS: i64 = 3;

/// An event to append, and how long after the one before it.
#[derive(Clone, Debug)]
pub(crate) struct TestEvent {
    pub(crate) after_ms: i64,
    actor: ActorInRoom,
    kind: EventType,
    mentioned: Option<ActorId>,
}

fn tenant() -> impl Strategy<Value = TenantId> {
    prop::sample::select(&TENANTS).prop_map(|id| TenantId::parse(id).unwrap())
}

fn room() -> impl Strategy<Value = RoomId> {
    prop::sample::select(&ROOMS).prop_map(|id| RoomId::parse(id).unwrap())
}

fn person() -> impl Strategy<Value = ActorId> {
    prop::sample::select(&ACTORS).prop_map(|id| ActorId::parse(id).unwrap())
}

fn kind() -> impl Strategy<Value = EventType> {
    prop::sample::select(&NOTE_TYPES)
}

/// A random event.
pub(crate) fn test_event() -> impl Strategy<Value = TestEvent> {
    (0..=MAX_STEP_MS, tenant(), room(), person(), kind(), prop::option::of(person())).prop_map(
        |(after_ms, tenant_id, room_id, actor_id, kind, mentioned)| TestEvent {
            after_ms,
            actor: ActorInRoom { tenant_id, room_id, actor_id },
            kind,
            mentioned,
        },
    )
}

/// A random filter.
pub(crate) fn filter() -> impl Strategy<Value = EventFilter> {
    let types = prop::option::of(prop::collection::vec(kind(), 0..3));
    let ids = (prop::option::of(tenant()), prop::option::of(room()), prop::option::of(person()));
    (ids, prop::option::of(person()), types).prop_map(|((tenant, room, actor), mentioned, types)| {
        EventFilter { tenant, room, actor, mentioned, types }
    })
}

/// A random query of a log of at most `max` events.
pub(crate) fn query(max: u64) -> impl Strategy<Value = EventQuery> {
    let sequences = (0..max + 3, prop::option::of(0..max + 3));
    let span = -2..(max as i64) * MAX_STEP_MS / 2 + 4;
    let times = (prop::option::of(span.clone()), prop::option::of(span));
    let max_held_bytes = prop_oneof![Just(usize::MAX), Just(0), 0..10_000_usize];
    let order = (any::<bool>(), 1..=max as usize, max_held_bytes);
    (filter(), sequences, times, order).prop_map(
        |(filter, (after, before), (from, to), (descending, limit, max_held_bytes))| EventQuery {
            filter,
            after: Sequence(after),
            before: before.map(Sequence),
            from: from.map(|ms| BEGIN.plus_ms(ms)),
            to: to.map(|ms| BEGIN.plus_ms(ms)),
            descending,
            limit,
            max_bytes: usize::MAX,
            max_held_bytes,
        },
    )
}

impl TestEvent {
    /// The command that appends it, with this text.
    pub(crate) fn envelope(&self, text: &str) -> Envelope {
        let (test_event, text) = (self.clone(), text.to_owned());
        command(move |ctx| {
            let TestEvent { actor, kind, mentioned, .. } = &test_event;
            reply(&append_note(ctx, actor, *kind, &text, mentioned.clone())?.sequence)
        })
    }
}

/// The events that were appended, with their times.
pub(crate) struct Model(pub(crate) Vec<(TestEvent, Timestamp)>);

impl Model {
    fn passes(query: &EventQuery, sequence: Sequence, (test_event, at): &(TestEvent, Timestamp)) -> bool {
        let EventFilter { tenant, room, actor, mentioned, types } = &query.filter;
        let TestEvent { actor: by, kind, mentioned: whom, .. } = test_event;
        tenant.as_ref().is_none_or(|tenant| *tenant == by.tenant_id)
            && room.as_ref().is_none_or(|room| *room == by.room_id)
            && actor.as_ref().is_none_or(|actor| *actor == by.actor_id)
            && mentioned.as_ref().is_none_or(|mentioned| whom.as_ref() == Some(mentioned))
            && types.as_ref().is_none_or(|types| types.contains(kind))
            && sequence > query.after
            && query.before.is_none_or(|before| sequence < before)
            && query.from.is_none_or(|from| *at >= from)
            && query.to.is_none_or(|to| *at <= to)
    }

    fn expected(&self, query: &EventQuery) -> Vec<Sequence> {
        let sequences = (1..).map(Sequence).zip(&self.0);
        let mut found: Vec<Sequence> = sequences
            .filter(|(sequence, event)| Self::passes(query, *sequence, event))
            .map(|(sequence, _)| sequence)
            .collect();
        if query.descending {
            found.reverse();
        }
        found
    }

    /// Checks a page against the model: its events, in order, and a cursor that skips none.
    pub(crate) fn check(&self, query: &EventQuery, page: &EventPage) {
        let expected = self.expected(query);
        let later = page.later.iter().map(|event| event.sequence);
        let found: Vec<Sequence> = page.events.iter().map(|event| event.sequence).chain(later).collect();
        let held: usize = page.events.iter().map(|event| event.json.len()).sum();
        let next = page.later.first().map_or(query.max_held_bytes, |event| event.bytes as usize);
        assert!(
            held <= query.max_held_bytes && held.saturating_add(next) >= query.max_held_bytes,
            "{query:?}"
        );
        assert!(found.len() <= query.limit, "{query:?}");
        if query.descending {
            assert_eq!(found, expected[..expected.len().min(query.limit)], "{query:?}");
        } else {
            let scanned_to = expected.partition_point(|sequence| *sequence <= page.scanned_to);
            assert_eq!(found, expected[..scanned_to], "scanned to {}: {query:?}", page.scanned_to);
            assert!(page.scanned_to >= query.after, "{query:?}");
            let whole = found.len() == query.limit || scanned_to == expected.len();
            let moves = page.scanned_to > query.after;
            assert!(whole || moves, "the page ends although there are more events: {query:?}");
        }
        for event in &page.events {
            let (test_event, at) = &self.0[event.sequence.0 as usize - 1];
            let read: Event = serde_json::from_slice(&event.json).unwrap();
            assert_eq!((read.sequence, read.kind, read.timestamp), (event.sequence, event.kind, *at));
            assert_eq!((&read.actor_id, event.kind), (&test_event.actor.actor_id, test_event.kind));
            assert_eq!(
                (&read.tenant_id, &read.room_id),
                (&test_event.actor.tenant_id, &test_event.actor.room_id)
            );
        }
    }
}
