//! Followers that come back with their cursor, also after a restart.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_engine::Follower;
use agentcafe_store::LoggedEvent;
use tokio::time::timeout;

use crate::cafe::{Cafe, filters, logged, say};

const DEADLINE: Duration = Duration::from_secs(60);

async fn talk(cafe: &Cafe, rounds: std::ops::Range<usize>) {
    for round in rounds {
        let (room, name) = (format!("room-{}", round % 3), format!("actor-{}", (round / 3) % 3));
        say(&cafe.store, &room, &name, "x".repeat(round)).await;
    }
}

/// Promise 3: a follower that leaves with its cursor and comes back, to this store or to one that was opened again, sees
/// every later event once, in order; whatever it had looked at before does not matter.
#[tokio::test]
async fn a_cursor_holds_over_reconnects_and_restarts() {
    let mut cafe = Cafe::open();
    let mut cursors: Vec<(Sequence, Vec<LoggedEvent>)> = vec![(Sequence::START, Vec::new()); filters().len()];
    for visit in 0..6 {
        talk(&cafe, visit * 40..(visit + 1) * 40).await;
        for (at, filter) in filters().into_iter().enumerate() {
            let (cursor, seen) = &mut cursors[at];
            let mut follower = Follower::new(Arc::clone(&cafe.store), filter, *cursor);
            // It leaves after some pages, or when there is nothing left.
            for _ in 0..=visit {
                if follower.has_more() {
                    seen.extend(follower.read(7).await.unwrap().events);
                }
            }
            *cursor = follower.scanned_to();
        }
        if visit % 2 == 1 {
            cafe = cafe.reopen();
        }
    }
    for (filter, (cursor, mut seen)) in filters().into_iter().zip(cursors) {
        let mut follower = Follower::new(Arc::clone(&cafe.store), filter.clone(), cursor);
        while follower.has_more() {
            seen.extend(follower.read(50).await.unwrap().events);
        }
        assert!(seen == logged(&cafe.store, &filter, Sequence::START).await, "{filter:?}");
        assert_eq!(follower.scanned_to(), cafe.store.recent_events().head());
    }
}

/// A cursor beyond the head (of a log that was restored from an older backup, say) waits there and skips nothing after.
#[tokio::test]
async fn a_cursor_beyond_the_head_waits() {
    let cafe = Cafe::open();
    talk(&cafe, 1..3).await;
    let beyond = Sequence(cafe.store.recent_events().head().0 + 2);
    let mut follower = Follower::new(Arc::clone(&cafe.store), filters().remove(0), beyond);
    assert!(!follower.has_more());
    assert_eq!(follower.scanned_to(), beyond);
    talk(&cafe, 3..9).await;
    let page = timeout(DEADLINE, follower.next(1)).await.unwrap().unwrap();
    assert_eq!(page.events[0].sequence, beyond.next());
}
