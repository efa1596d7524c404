//! So many traces that the oldest must go.

use agentcafe_domain::kernel::ids::CorrelationId;
use agentcafe_store::Store;

use crate::{place::StoreLocation, traces::note};

/// More than both of the tables hold that take turns.
const TRACES: usize = 45_000;
/// How many of the newest are always kept.
const KEPT: usize = 20_000;

async fn is_known(store: &Store, number: usize) -> bool {
    let id = CorrelationId::parse(&format!("t-{number}")).unwrap();
    store.trace(id, None).await.unwrap().is_some()
}

/// CONTRACT 3.3 and RULINGS P5: traces are kept in bounded number, the newest always, also over a restart.
#[tokio::test]
async fn the_newest_traces_are_kept_and_the_oldest_go() {
    let place = StoreLocation::new();
    let mut opened = place.open();
    for number in 0..TRACES {
        opened.store.note(note(&format!("t-{number}"), 1));
        // The queue is bounded, and under pressure traces are dropped: wait for it to be empty now and then.
        if number % 1_000 == 0 {
            assert!(opened.store.probe().await);
        }
        if number == TRACES / 2 {
            opened.close();
            opened = place.open();
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
