//! Pages of the log: every filter, both directions, by place and by time, from memory and from the database.

use agentcafe_domain::kernel::{ids::Sequence, time::Clock};
use agentcafe_eventlog::MAX_RECENT_BYTES;
use agentcafe_store::{EventFilter, EventQuery, Store};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::{
    log_model::{Happening, Model, filter, happening, query},
    place::{Opened, StoreLocation},
};

/// Lets all of it happen, each event with that much text.
async fn happen(place: &StoreLocation, store: &Store, happenings: Vec<Happening>, text: &str) -> Model {
    let mut happened = Vec::new();
    for happening in happenings {
        place.clock.advance(happening.after_ms);
        store.submit(happening.envelope(text)).await.unwrap();
        happened.push((happening, place.clock.now()));
    }
    Model(happened)
}

async fn check_all(opened: &Opened, model: &Model, queries: &[EventQuery]) {
    for query in queries {
        model.check(query, &opened.store.events(query.clone()).await.unwrap());
    }
}

async fn check(happenings: Vec<Happening>, queries: Vec<EventQuery>) {
    let place = StoreLocation::new();
    let opened = place.open();
    let model = happen(&place, &opened.store, happenings, "hi").await;
    check_all(&opened, &model, &queries).await;
    opened.close();
    let reopened = place.open();
    check_all(&reopened, &model, &queries).await;
    reopened.close();
}

const MOST: u64 = 60;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// CONTRACT 9.3 to 9.5 and 11: random logs and random questions; memory and database answer as the model does.
    #[test]
    fn pages_agree_with_the_model(
        happenings in prop::collection::vec(happening(), 0..MOST as usize),
        queries in prop::collection::vec(query(MOST), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(happenings, queries));
    }
}

fn random<S: Strategy>(runner: &mut TestRunner, strategy: S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// The same when memory holds only the end of the log, so that questions begin in the database and end in memory.
#[tokio::test]
async fn pages_agree_when_memory_has_overflowed() {
    const EVENTS: usize = 120;
    let text = "x".repeat(2 * MAX_RECENT_BYTES / EVENTS);
    let mut runner = TestRunner::deterministic();
    let happenings = random(&mut runner, prop::collection::vec(happening(), EVENTS));
    let queries = random(&mut runner, prop::collection::vec(query(EVENTS as u64), 300));
    let place = StoreLocation::new();
    let opened = place.open();
    let model = happen(&place, &opened.store, happenings, &text).await;
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

/// Promise 3: reading page by page, each from where the last one looked to, gives every matching event once, with any
/// filter and page size, over the seam between database and memory.
#[tokio::test]
async fn page_after_page_is_the_whole_log() {
    const EVENTS: usize = 90;
    let text = "x".repeat(2 * MAX_RECENT_BYTES / EVENTS);
    let mut runner = TestRunner::deterministic();
    let happenings = random(&mut runner, prop::collection::vec(happening(), EVENTS));
    let place = StoreLocation::new();
    let opened = place.open();
    let model = happen(&place, &opened.store, happenings, &text).await;
    for limit in [1, 2, 7, 50] {
        let filter = random(&mut runner, filter());
        let whole =
            opened.store.events(EventQuery::after(filter.clone(), Sequence::START, EVENTS)).await.unwrap();
        let (mut pages, mut after) = (Vec::new(), Sequence::START);
        while after < opened.store.recent_events().head() {
            let query = EventQuery::after(filter.clone(), after, limit);
            let page = opened.store.events(query.clone()).await.unwrap();
            model.check(&query, &page);
            assert!(page.scanned_to > after, "the cursor stands still: {query:?}");
            after = page.scanned_to;
            pages.extend(page.events);
        }
        assert_eq!(pages, whole.events, "{filter:?}, {limit} at a time");
    }
    opened.close();
}

/// RULINGS F1: a page without a match tells how far was looked, in memory and in the database, so that nobody looks there
/// again.
#[tokio::test]
async fn an_empty_page_moves_the_cursor_to_the_head() {
    let place = StoreLocation::new();
    let opened = place.open();
    let mut runner = TestRunner::deterministic();
    let happenings = random(&mut runner, prop::collection::vec(happening(), 30));
    happen(&place, &opened.store, happenings, "hi").await;
    let nothing =
        EventQuery::after(EventFilter { types: Some(Vec::new()), ..EventFilter::default() }, Sequence(3), 5);
    assert_eq!(opened.store.events(nothing.clone()).await.unwrap().scanned_to, Sequence(30));
    opened.close();
    let reopened = place.open();
    let page = reopened.store.events(nothing).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to), (0, Sequence(30)));
    let beyond = EventQuery::after(EventFilter::default(), Sequence(1_000), 5);
    assert_eq!(reopened.store.events(beyond).await.unwrap().scanned_to, Sequence(1_000));
    reopened.close();
}

/// A page of no events has looked at none: its cursor must not skip what it did not show.
#[tokio::test]
async fn a_page_of_no_events_moves_nothing() {
    let place = StoreLocation::new();
    let opened = place.open();
    let mut runner = TestRunner::deterministic();
    let happenings = random(&mut runner, prop::collection::vec(happening(), 5));
    let model = happen(&place, &opened.store, happenings, "hi").await;
    let none = EventQuery::after(EventFilter::default(), Sequence(2), 0);
    model.check(&none, &opened.store.events(none.clone()).await.unwrap());
    opened.close();
    let reopened = place.open();
    model.check(&none, &reopened.store.events(none.clone()).await.unwrap());
    reopened.close();
}
