//! A follower sees every event after its cursor that matches, once and in order, whatever it does in between.
//! (With a real store, while others write: `agentcafe-store`, `tests/suite/follow.rs`.)

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::{Follower, LoggedEvent, MAX_RECENT_BYTES};
use tokio::time::timeout;

use crate::memory_log::{MemoryLog, filters};

/// How long a follower may take to wake.
const WAKE_DEADLINE: Duration = Duration::from_secs(20);

/// A follower that leaves with its cursor and comes back, also after a restart, sees every later event once, in order.
#[tokio::test]
async fn follower_resumes_from_its_cursor_after_reconnects_and_restarts() {
    let mut log = MemoryLog::new();
    let mut cursors: Vec<(Sequence, Vec<LoggedEvent>)> = vec![(Sequence::START, Vec::new()); filters().len()];
    for visit in 0..6 {
        log.append_many(40, 10);
        for (filter, (cursor, seen)) in filters().into_iter().zip(&mut cursors) {
            let mut follower = Follower::new(Arc::clone(&log), filter, *cursor);
            // It leaves after some pages, or when there is nothing left.
            for _ in 0..=visit {
                if follower.has_more() {
                    seen.extend(follower.read(7).await.unwrap().events);
                }
            }
            *cursor = follower.scanned_to();
        }
        if visit % 2 == 1 {
            log = log.reopen();
        }
    }
    for (filter, (cursor, mut seen)) in filters().into_iter().zip(cursors) {
        let mut follower = Follower::new(Arc::clone(&log), filter.clone(), cursor);
        while follower.has_more() {
            seen.extend(follower.read(50).await.unwrap().events);
        }
        assert!(seen == log.matching(&filter, Sequence::START), "{filter:?}");
        assert_eq!(follower.scanned_to(), log.head());
    }
}

/// After a restore from an older backup, a cursor may be beyond the head.
#[tokio::test]
async fn follower_with_a_cursor_beyond_the_head_waits_there() {
    let log = MemoryLog::new();
    log.append_many(2, 10);
    let beyond = Sequence(log.head().0 + 2);
    let mut follower = Follower::new(Arc::clone(&log), filters().remove(0), beyond);
    assert!(!follower.has_more());
    assert_eq!(follower.scanned_to(), beyond);
    log.append_many(6, 10);
    let page = timeout(WAKE_DEADLINE, follower.next(1, usize::MAX)).await.unwrap().unwrap();
    assert_eq!(page.events[0].sequence, beyond.next());
}

#[tokio::test]
async fn follower_that_fell_out_of_memory_reads_the_log() {
    let log = MemoryLog::new();
    for filter in filters() {
        let mut follower = Follower::new(Arc::clone(&log), filter.clone(), log.head());
        let begin = log.head();
        log.append_many(40, MAX_RECENT_BYTES / 20);
        let mut seen = Vec::new();
        while follower.has_more() {
            seen.extend(follower.read(3).await.unwrap().events);
        }
        assert!(seen == log.matching(&filter, begin), "{filter:?}");
    }
}

/// A follower whose filter matches nothing moves its cursor along with the head, so that neither it nor a reconnect
/// examines the same events twice.
#[tokio::test]
async fn follower_moves_its_cursor_past_events_that_do_not_match() {
    let log = MemoryLog::new();
    for elsewhere in filters().into_iter().filter(|filter| filter.room.is_some() || filter.actor.is_some()) {
        let mut follower = Follower::new(Arc::clone(&log), elsewhere.clone(), log.head());
        for _ in 0..10 {
            let head = log.append("lounge", "Mira", 10);
            if follower.has_more() {
                let page = follower.read(10).await.unwrap();
                assert!(page.events.is_empty(), "{elsewhere:?}");
                assert!(!follower.has_more(), "there is always more: {elsewhere:?}");
            }
            assert_eq!(follower.scanned_to(), head, "{elsewhere:?}");
        }
    }
}

#[tokio::test]
async fn follower_of_a_room_is_woken_by_that_room_only() {
    let log = MemoryLog::new();
    let room = filters().into_iter().find(|filter| filter.tenant.is_some() && filter.room.is_some()).unwrap();
    let mut follower = Follower::new(Arc::clone(&log), room, Sequence::START);
    for round in 1..=50_u64 {
        for _ in 0..3 {
            log.append("lounge", "Mira", 10);
            assert!(!follower.has_more(), "woken by another room");
        }
        let here = log.append("room-1", "Mira", 10);
        timeout(WAKE_DEADLINE, follower.wait_for_more()).await.unwrap();
        let page = follower.read(10).await.unwrap();
        let sequences: Vec<Sequence> = page.events.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, [here], "round {round}");
    }
}
