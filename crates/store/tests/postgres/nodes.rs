//! Two nodes on one database: one log without gaps, and each learns in time what the other has written.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Record, Sequence};
use agentcafe_domain::webhooks::counter::WebhookCounter;
use agentcafe_store::{EventFilter, EventQuery, Store};
use futures_util::future::join_all;

use crate::commands::{NOTE_TYPES, actor, append_note, append_texts, command, reply};
use crate::table_changes::{count, counts};
use crate::test_store::TestStore;

/// How long a node may take until it has the events of the other.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn wait_for_head(store: &Store, head: Sequence) {
    let mut wake = store.recent_events().subscribe(&EventFilter::default());
    let waiting = async {
        while store.recent_events().head() < head {
            wake.changed().await.unwrap();
        }
    };
    tokio::time::timeout(TIMEOUT, waiting).await.unwrap();
}

/// Every sequence is assigned once, whichever node assigns it, and both nodes read all events in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_write_one_log_without_gaps() {
    const EACH: u64 = 300;
    let test_store = TestStore::new();
    let nodes = [test_store.open(), test_store.open()];
    let says_all = nodes.iter().map(|node| async {
        let said = (0..EACH).map(|_| node.store.submit(append_texts(&actor("main", "Nova"), &["hi"])));
        join_all(said).await.into_iter().for_each(|answer| assert!(answer.is_ok()));
    });
    join_all(says_all).await;
    for node in &nodes {
        wait_for_head(&node.store, Sequence(2 * EACH)).await;
        let query = EventQuery::after(EventFilter::default(), Sequence::START, 1_000);
        let page = node.store.recent_events().read(&query).expect("all of it is in memory");
        let sequences: Vec<u64> = page.events.iter().map(|event| event.sequence.0).collect();
        assert_eq!(sequences, (1..=2 * EACH).collect::<Vec<_>>());
        assert_eq!(page.events, node.store.events(query).await.unwrap().events);
    }
    nodes.into_iter().for_each(super::test_store::OpenStore::close);
}

/// A page from the database ends where the recent events end: whoever reads an event was notified of the
/// changes before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_events_end_at_the_recent_events_of_the_node() {
    let test_store = TestStore::new();
    let there = test_store.open();
    there.store.submit(append_texts(&actor("main", "Nova"), &["before"])).await.unwrap();
    let here = test_store.open();
    let mut changed = here.store.changed(WebhookCounter::TABLE);
    for head in 2..=100 {
        changed.mark_unchanged();
        let both = command(|ctx| {
            count(ctx)?;
            append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "hi", None)?;
            reply(&())
        });
        there.store.submit(both).await.unwrap();
        let all = EventQuery::after(EventFilter::default(), Sequence::START, 1_000);
        assert!(here.store.recent_events().read(&all).is_none(), "the log begins before the recent events");
        let page = here.store.events(all.clone()).await.unwrap();
        assert!(page.scanned_to < Sequence(head) || changed.has_changed().unwrap(), "at {head}");
        wait_for_head(&here.store, Sequence(head)).await;
        assert_eq!(here.store.events(all).await.unwrap().events.len() as u64, head);
    }
    here.close();
    there.close();
}

/// Whoever reads an event was notified of all table changes before it, by whichever node, with an event or
/// without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_changes_of_another_node_are_published_before_its_events() {
    let test_store = TestStore::new();
    let [here, there] = [test_store.open(), test_store.open()];
    let mut changed = here.store.changed(WebhookCounter::TABLE);
    for round in 1..=50 {
        changed.mark_unchanged();
        let both = command(|ctx| {
            count(ctx)?;
            append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "hi", None)?;
            reply(&())
        });
        let store = Arc::clone(&there.store);
        let writing = tokio::spawn(async move { store.submit(both).await.unwrap() });
        wait_for_head(&here.store, Sequence(2 * round - 1)).await;
        assert!(changed.has_changed().unwrap(), "in round {round}");
        writing.await.unwrap();
        changed.mark_unchanged();
        there.store.submit(counts()).await.unwrap();
        here.store.submit(append_texts(&actor("main", "Kai"), &["hi"])).await.unwrap();
        assert!(changed.has_changed().unwrap(), "in round {round}, after a batch of its own");
    }
    here.close();
    there.close();
}
