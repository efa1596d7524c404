//! Two nodes on one database: one log without gaps, and each learns in time of what the other has written.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    kernel::{ids::Sequence, record::Record},
    webhooks::counter::Counter,
};
use agentcafe_store::{EventFilter, EventQuery, Store};
use futures_util::future::join_all;

use crate::{
    changes::{count, counts},
    commands::{NOTE_TYPES, actor, append_note, does, reply, says},
    place::StoreLocation,
};

/// How long a node may take until it has what the other wrote.
const TIMEOUT: Duration = Duration::from_secs(10);

async fn reaches(store: &Store, head: Sequence) {
    let mut wake = store.recent_events().subscribe(&EventFilter::default());
    let waiting = async {
        while store.recent_events().head() < head {
            wake.changed().await.unwrap();
        }
    };
    tokio::time::timeout(TIMEOUT, waiting).await.unwrap();
}

/// Numbers are given once and without a gap, whichever node gives them, and both nodes have every event in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_write_one_log() {
    const EACH: u64 = 300;
    let place = StoreLocation::new();
    let nodes = [place.open(), place.open()];
    let says_all = nodes.iter().map(|node| async {
        let said = (0..EACH).map(|_| node.store.submit(says(&actor("main", "Nova"), &["hi"])));
        join_all(said).await.into_iter().for_each(|answer| assert!(answer.is_ok()));
    });
    join_all(says_all).await;
    for node in &nodes {
        reaches(&node.store, Sequence(2 * EACH)).await;
        let query = EventQuery::after(EventFilter::default(), Sequence::START, 1_000);
        let page = node.store.recent_events().read(&query).expect("all of it is in memory");
        let places: Vec<u64> = page.events.iter().map(|event| event.sequence.0).collect();
        assert_eq!(places, (1..=2 * EACH).collect::<Vec<_>>());
        assert_eq!(page.events, node.store.events(query).await.unwrap().events);
    }
    nodes.into_iter().for_each(super::place::Opened::close);
}

/// The same for who reads the log behind what is in memory: nothing is read there that the node does not know of yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reads_nothing_that_it_was_not_told_of() {
    let place = StoreLocation::new();
    let there = place.open();
    there.store.submit(says(&actor("main", "Nova"), &["before"])).await.unwrap();
    let here = place.open();
    let mut changed = here.store.changed(Counter::TABLE);
    for head in 2..=100 {
        changed.mark_unchanged();
        let both = does(|ctx| {
            count(ctx)?;
            append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "hi", None)?;
            reply(&())
        });
        there.store.submit(both).await.unwrap();
        let all = EventQuery::after(EventFilter::default(), Sequence::START, 1_000);
        assert!(here.store.recent_events().read(&all).is_none(), "the log begins before what is in memory");
        let page = here.store.events(all.clone()).await.unwrap();
        assert!(page.scanned_to < Sequence(head) || changed.has_changed().unwrap(), "at {head}");
        reaches(&here.store, Sequence(head)).await;
        assert_eq!(here.store.events(all).await.unwrap().events.len() as u64, head);
    }
    here.close();
    there.close();
}

/// Who sees an event has been told of what was written before it, by whichever node, with an event or without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_told_before_it_sees_events_of_another() {
    let place = StoreLocation::new();
    let [here, there] = [place.open(), place.open()];
    let mut changed = here.store.changed(Counter::TABLE);
    for round in 1..=50 {
        changed.mark_unchanged();
        let both = does(|ctx| {
            count(ctx)?;
            append_note(ctx, &actor("main", "Nova"), NOTE_TYPES[0], "hi", None)?;
            reply(&())
        });
        let store = Arc::clone(&there.store);
        let writing = tokio::spawn(async move { store.submit(both).await.unwrap() });
        reaches(&here.store, Sequence(2 * round - 1)).await;
        assert!(changed.has_changed().unwrap(), "in round {round}");
        writing.await.unwrap();
        changed.mark_unchanged();
        there.store.submit(counts()).await.unwrap();
        here.store.submit(says(&actor("main", "Kai"), &["hi"])).await.unwrap();
        assert!(changed.has_changed().unwrap(), "in round {round}, after a turn of its own");
    }
    here.close();
    there.close();
}
