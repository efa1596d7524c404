//! Reads beside the writer: many at once, and some that nobody waits for any more.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use agentcafe_domain::{kernel::record::Record, tasks::Task};
use agentcafe_store::{EventFilter, EventQuery};

use crate::{
    commands::{actor, says},
    place::StoreLocation,
    records::{put, task},
};

/// Promise 5: more reads than there are connections wait for one; all of them are answered, while others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_reads_at_once_are_all_answered() {
    let place = StoreLocation::new();
    let opened = place.open();
    put(&opened.store, vec![task(1, "main", None, 0)]).await;
    let reading: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&opened.store);
            tokio::spawn(async move {
                if number % 10 == 0 {
                    store.submit(says(&actor("main", "Nova"), &["hi"])).await.unwrap();
                }
                assert!(store.get::<Task>(task(1, "main", None, 0).key()).await.unwrap().is_some());
                store.events(EventQuery::newest(EventFilter::default(), 10)).await.unwrap();
            })
        })
        .collect();
    for read in reading {
        read.await.unwrap();
    }
    opened.close();
}

/// A reader that goes away in the middle (a client that disconnects) takes nothing from those who come after it: its
/// connection is not theirs until it is free, and they wait for it instead of being told that the store cannot be read.
#[tokio::test]
async fn an_abandoned_read_costs_nobody_anything() {
    let place = StoreLocation::new();
    let opened = place.open();
    put(&opened.store, vec![task(1, "main", None, 0)]).await;
    let key = || task(1, "main", None, 0).key();
    for round in 0..200 {
        for _ in 0..8 {
            let mut abandoned = pin!(opened.store.get::<Task>(key()));
            // Polling once begins it; then it is dropped, unless it is that quick.
            let _ = poll_fn(|context| Poll::Ready(abandoned.as_mut().poll(context).is_ready())).await;
        }
        let found = opened.store.get::<Task>(key()).await;
        assert!(found.is_ok_and(|found| found.is_some()), "in round {round}");
    }
    opened.close();
}
