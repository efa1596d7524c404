//! Reads beside the writer: many at once, and some whose caller disconnects.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use agentcafe_domain::kernel::Record;
use agentcafe_domain::tasks::Task;
use agentcafe_store::{EventFilter, EventQuery};

use crate::commands::{actor, append_texts};
use crate::records::{put, task};
use crate::test_store::TestStore;

/// More reads than there are connections are all answered, while others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_reads_wait_for_a_connection() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    put(&opened.store, vec![task(1, "main", None, 0)]).await;
    let reading: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&opened.store);
            tokio::spawn(async move {
                if number % 10 == 0 {
                    store.submit(append_texts(&actor("main", "Nova"), &["hi"])).await.unwrap();
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

/// A caller that disconnects during a read does not take a connection from later ones: they wait for it,
/// and are answered.
#[tokio::test]
async fn abandoned_read_returns_its_connection() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    put(&opened.store, vec![task(1, "main", None, 0)]).await;
    let key = || task(1, "main", None, 0).key();
    for round in 0..200 {
        for _ in 0..8 {
            let mut abandoned = pin!(opened.store.get::<Task>(key()));
            // The first poll starts it; then it is dropped, unless it is ready.
            let _ = poll_fn(|context| Poll::Ready(abandoned.as_mut().poll(context).is_ready())).await;
        }
        let found = opened.store.get::<Task>(key()).await;
        assert!(found.is_ok_and(|found| found.is_some()), "in round {round}");
    }
    opened.close();
}
