//! More traces than are kept.

use agentcafe_domain::kernel::CorrelationId;
use agentcafe_store::Store;

use crate::test_store::TestStore;
use crate::traces::note;

/// More than both tables of traces hold.
const TRACES: usize = 45_000;
/// How many of the newest are always kept.
const KEPT: usize = 20_000;

async fn is_known(store: &Store, number: usize) -> bool {
    let id = CorrelationId::parse(&format!("t-{number}")).unwrap();
    store.trace(id, None, None).await.unwrap().is_some()
}

/// The number of traces is bounded, and the newest are always kept, also over a restart.
#[tokio::test]
async fn traces_keep_the_newest_and_drop_the_oldest() {
    let test_store = TestStore::new();
    let mut opened = test_store.open();
    for number in 0..TRACES {
        opened.store.note(note(&format!("t-{number}"), 1));
        // The queue is bounded, and traces are dropped when it is full: wait until it is empty now and then.
        if number % 1_000 == 0 {
            assert!(opened.store.probe().await);
        }
        if number == TRACES / 2 {
            opened.close();
            opened = test_store.open();
        }
    }
    assert!(opened.store.probe().await);
    for number in (TRACES - KEPT..TRACES).step_by(499) {
        assert!(is_known(&opened.store, number).await, "trace {number} of {TRACES}");
    }
    assert!(!is_known(&opened.store, 0).await, "the oldest trace is still there");
    assert!(!is_known(&opened.store, TRACES - 2 * KEPT - 10).await, "more than two generations are kept");
    opened.close();
}
