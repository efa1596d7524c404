//! Pages of the log: every filter, both directions, by sequence and by time, from memory and from the
//! database.

use agentcafe_domain::kernel::{Clock, RoomId, Sequence, TenantId};
use agentcafe_eventlog::MAX_RECENT_BYTES;
use agentcafe_store::{Cut, EventFilter, EventQuery, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::commands::{NOTE_TYPES, actor, append_note, command, reply};
use crate::event_model::{Model, TestEvent, filter, query, test_event};
use crate::test_store::{OpenStore, TestStore};

/// Appends all events, each with this text.
async fn append_all(test_store: &TestStore, store: &Store, test_events: Vec<TestEvent>, text: &str) -> Model {
    let mut appended = Vec::new();
    for test_event in test_events {
        test_store.clock.advance(test_event.after_ms);
        store.submit(test_event.envelope(text)).await.unwrap();
        appended.push((test_event, test_store.clock.now()));
    }
    Model(appended)
}

async fn check_all(opened: &OpenStore, model: &Model, queries: &[EventQuery]) {
    for query in queries {
        model.check(query, &opened.store.events(query.clone()).await.unwrap());
    }
}

async fn check(test_events: Vec<TestEvent>, queries: Vec<EventQuery>) {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let model = append_all(&test_store, &opened.store, test_events, "hi").await;
    check_all(&opened, &model, &queries).await;
    opened.close();
    let reopened = test_store.open();
    check_all(&reopened, &model, &queries).await;
    reopened.close();
}

const MAX_EVENTS: u64 = 60;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random logs and random queries: memory and database answer as the model does.
    #[test]
    fn event_pages_agree_with_the_model(
        test_events in prop::collection::vec(test_event(), 0..MAX_EVENTS as usize),
        queries in prop::collection::vec(query(MAX_EVENTS), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(test_events, queries));
    }
}

fn random<S: Strategy>(runner: &mut TestRunner, strategy: S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// The same when memory holds only the end of the log, so that pages begin in the database and end in
/// memory.
#[tokio::test]
async fn event_pages_agree_with_the_model_beyond_the_recent_events() {
    const EVENTS: usize = 120;
    let text = "x".repeat(2 * MAX_RECENT_BYTES / EVENTS);
    let mut runner = TestRunner::deterministic();
    let test_events = random(&mut runner, prop::collection::vec(test_event(), EVENTS));
    let queries = random(&mut runner, prop::collection::vec(query(EVENTS as u64), 300));
    let test_store = TestStore::new();
    let opened = test_store.open();
    let model = append_all(&test_store, &opened.store, test_events, &text).await;
    let everything = EventFilter::default();
    assert!(
        opened
            .store
            .recent_events()
            .read(&EventQuery::after(everything.clone(), Sequence::START, 1))
            .is_none(),
        "memory has not overflowed"
    );
    assert!(
        opened
            .store
            .recent_events()
            .read(&EventQuery::after(everything.clone(), Sequence(EVENTS as u64 - 10), 1))
            .is_some()
    );
    check_all(&opened, &model, &queries).await;
    opened.close();
}

/// Page by page, each after the position that the last one scanned to, every matching event is read once,
/// with any filter and page size, across the seam between database and memory.
#[tokio::test]
async fn event_pages_together_are_the_whole_log() {
    const EVENTS: usize = 90;
    let text = "x".repeat(2 * MAX_RECENT_BYTES / EVENTS);
    let mut runner = TestRunner::deterministic();
    let test_events = random(&mut runner, prop::collection::vec(test_event(), EVENTS));
    let test_store = TestStore::new();
    let opened = test_store.open();
    let model = append_all(&test_store, &opened.store, test_events, &text).await;
    for limit in [1, 2, 7, 50] {
        let filter = random(&mut runner, filter());
        let whole =
            opened.store.events(EventQuery::after(filter.clone(), Sequence::START, EVENTS)).await.unwrap();
        let (mut pages, mut after) = (Vec::new(), Sequence::START);
        while after < opened.store.recent_events().head() {
            let query = EventQuery::after(filter.clone(), after, limit);
            let page = opened.store.events(query.clone()).await.unwrap();
            model.check(&query, &page);
            assert!(page.scanned_to > after, "the cursor does not move: {query:?}");
            after = page.scanned_to;
            pages.extend(page.events);
        }
        assert_eq!(pages, whole.events, "{filter:?}, {limit} at a time");
    }
    opened.close();
}

/// A page holds its first event however large that is, and the next page continues behind it: from memory and from the database,
/// the oldest or the newest first.
#[tokio::test]
async fn event_pages_with_too_few_bytes_are_the_whole_log() {
    const EVENTS: usize = 40;
    let text = "x".repeat(2 * MAX_RECENT_BYTES / EVENTS);
    let mut runner = TestRunner::deterministic();
    let test_events = random(&mut runner, prop::collection::vec(test_event(), EVENTS));
    let test_store = TestStore::new();
    let opened = test_store.open();
    append_all(&test_store, &opened.store, test_events, &text).await;
    let everything = EventQuery::after(EventFilter::default(), Sequence::START, EVENTS);
    let mut whole =
        opened.store.events(EventQuery { max_bytes: usize::MAX, ..everything.clone() }).await.unwrap().events;
    assert_eq!(whole.len(), EVENTS);
    let one_event = whole[0].json.len();
    for descending in [false, true] {
        for max_bytes in [1, one_event, 2 * one_event + 1] {
            let mut query = EventQuery { max_bytes, descending, ..everything.clone() };
            let mut pages = Vec::new();
            loop {
                let page = opened.store.events(query.clone()).await.unwrap();
                let Some(last) = page.events.last() else { break };
                let next = EventQuery { after: page.scanned_to, ..query.clone() };
                query = if descending { EventQuery { before: Some(last.sequence), ..query } } else { next };
                pages.extend(page.events);
            }
            assert_eq!(pages, whole, "descending: {descending}, {max_bytes} bytes at a time");
        }
        whole.reverse();
    }
    opened.close();
}

/// A page without a match says how far it was scanned, from memory and from the database, so that nothing
/// is scanned again.
#[tokio::test]
async fn event_page_without_a_match_moves_the_cursor_to_the_head() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let mut runner = TestRunner::deterministic();
    let test_events = random(&mut runner, prop::collection::vec(test_event(), 30));
    append_all(&test_store, &opened.store, test_events, "hi").await;
    let nothing =
        EventQuery::after(EventFilter { types: Some(Vec::new()), ..EventFilter::default() }, Sequence(3), 5);
    assert_eq!(opened.store.events(nothing.clone()).await.unwrap().scanned_to, Sequence(30));
    opened.close();
    let reopened = test_store.open();
    let page = reopened.store.events(nothing).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to), (0, Sequence(30)));
    let beyond = EventQuery::after(EventFilter::default(), Sequence(1_000), 5);
    assert_eq!(reopened.store.events(beyond).await.unwrap().scanned_to, Sequence(1_000));
    reopened.close();
}

/// A page of no events has scanned none: its cursor must not skip events.
#[tokio::test]
async fn event_page_with_limit_zero_does_not_move_the_cursor() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let mut runner = TestRunner::deterministic();
    let test_events = random(&mut runner, prop::collection::vec(test_event(), 5));
    let model = append_all(&test_store, &opened.store, test_events, "hi").await;
    let none = EventQuery::after(EventFilter::default(), Sequence(2), 0);
    model.check(&none, &opened.store.events(none.clone()).await.unwrap());
    opened.close();
    let reopened = test_store.open();
    model.check(&none, &reopened.store.events(none.clone()).await.unwrap());
    reopened.close();
}

/// A page is not empty as long as an event behind its cursor matches, however many others lie in between.
#[tokio::test]
async fn event_page_reaches_the_only_match_behind_thousands_of_others() {
    const OTHERS: usize = 10_000;
    let test_store = TestStore::new();
    let opened = test_store.open();
    let (busy, quiet) = (actor("busy", "Nova"), actor("quiet", "Kai"));
    let room = quiet.room_id.clone();
    let append = command(move |ctx| {
        for _ in 0..OTHERS {
            append_note(ctx, &busy, NOTE_TYPES[0], "hi", None)?;
        }
        append_note(ctx, &quiet, NOTE_TYPES[0], "here", None)?;
        reply(&())
    });
    opened.store.submit(append).await.unwrap();
    let filter =
        EventFilter { tenant: Some(TenantId::default()), room: Some(room), ..EventFilter::default() };
    let page = opened.store.events(EventQuery::after(filter.clone(), Sequence::START, 10)).await.unwrap();
    assert_eq!(page.events.len(), 1);
    let behind = page.events[0].sequence;
    let end = opened.store.events(EventQuery::after(filter, behind, 10)).await.unwrap();
    assert_eq!((end.events.len(), end.scanned_to), (0, behind));
    opened.close();
}

/// A page that would examine the whole log for few events ends after about 100,000, says so, and says where to go on. That
/// holds without an index and within a room, in both directions. What an index selects is found at once.
#[tokio::test]
async fn event_page_examines_a_bounded_number_of_events() {
    const OTHERS: u64 = 120_000;
    const CHUNK: u64 = 10_000;
    let test_store = TestStore::new();
    let opened = test_store.open();
    let (quiet, busy) = (actor("quiet", "Kai"), actor("busy", "Nova"));
    let busy_room = busy.room_id.clone();
    let here = |kind| {
        let quiet = quiet.clone();
        command(move |ctx| {
            append_note(ctx, &quiet, kind, "here", None)?;
            reply(&())
        })
    };
    opened.store.submit(here(NOTE_TYPES[0])).await.unwrap();
    for _ in 0..OTHERS / CHUNK {
        let busy = busy.clone();
        let append = command(move |ctx| {
            (0..CHUNK).try_for_each(|_| append_note(ctx, &busy, NOTE_TYPES[0], "", None).map(drop))?;
            reply(&())
        });
        opened.store.submit(append).await.unwrap();
    }
    opened.store.submit(here(NOTE_TYPES[0])).await.unwrap();
    opened.close();
    let reopened = test_store.open();
    let (first, last) = (Sequence(1), Sequence(OTHERS + 2));
    let read = async |query: EventQuery| {
        let page = reopened.store.events(query).await.unwrap();
        let found: Vec<_> = page.events.iter().map(|event| event.sequence).collect();
        (found, page.scanned_to, page.cut)
    };
    let all = EventFilter::default;
    let by_author = EventFilter { actor: Some(quiet.actor_id.clone()), ..all() };
    let (found, scanned_to, cut) = read(EventQuery::after(by_author.clone(), Sequence::START, 10)).await;
    assert_eq!((found, cut), (vec![first], Some(Cut::Scan)));
    assert!((100_000..OTHERS).contains(&scanned_to.0), "{scanned_to}");
    let rest = read(EventQuery::after(by_author.clone(), scanned_to, 10)).await;
    assert_eq!(rest, (vec![last], last, None));
    let (found, scanned_to, cut) = read(EventQuery::newest(by_author.clone(), 10)).await;
    assert_eq!((found, cut), (vec![last], Some(Cut::Scan)));
    assert!((2..OTHERS - 90_000).contains(&scanned_to.0), "{scanned_to}");
    let rest = EventQuery { before: Some(scanned_to), ..EventQuery::newest(by_author, 10) };
    assert_eq!(read(rest).await, (vec![first], first, None));

    let in_room =
        |room: &RoomId| EventFilter { tenant: Some(TenantId::default()), room: Some(room.clone()), ..all() };
    let other_kind = EventFilter { types: Some(vec![NOTE_TYPES[1]]), ..in_room(&busy_room) };
    for descending in [false, true] {
        let mut query =
            EventQuery { descending, ..EventQuery::after(other_kind.clone(), Sequence::START, 10) };
        let (found, scanned_to, cut) = read(query.clone()).await;
        assert_eq!((found, cut), (vec![], Some(Cut::Scan)));
        if descending {
            query.before = Some(scanned_to);
        } else {
            query.after = scanned_to;
        }
        let (found, _, cut) = read(query).await;
        assert_eq!((found, cut), (vec![], None));
    }
    let (found, _, cut) = read(EventQuery::after(in_room(&quiet.room_id), Sequence::START, 10)).await;
    assert_eq!((found, cut), (vec![first, last], None));
    reopened.close();
}
