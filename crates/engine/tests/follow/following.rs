//! Followers see every event that matches, once, in order, while writers write.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_engine::Follower;
use agentcafe_store::{EventFilter, EventQuery, LoggedEvent, Store, recent_events::MAX_RECENT_BYTES};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::cafe::{Cafe, filters, logged, say};

const WRITERS: usize = 6;
const ROUNDS: usize = 60;
/// Twice what memory holds, in all.
const TEXT_BYTES: usize = 2 * MAX_RECENT_BYTES / (WRITERS * ROUNDS);
/// How long a follower may sleep although there is something for it.
const WAKE_DEADLINE: Duration = Duration::from_secs(60);

/// Says things in three rooms by three actors, each text longer than the one before.
async fn write(store: Arc<Store>, writer: usize) {
    for round in 0..ROUNDS {
        let (room, name) =
            (format!("room-{}", (writer + round) % 3), format!("actor-{}", (writer * round) % 3));
        say(&store, &room, &name, "x".repeat(TEXT_BYTES + round)).await;
    }
}

/// Follows until the last event is known and seen. Takes at most `limit` at a time, and lets others run in between.
async fn follow(
    store: Arc<Store>,
    filter: EventFilter,
    after: Sequence,
    limit: usize,
    mut finished: watch::Receiver<bool>,
) -> Vec<LoggedEvent> {
    let mut follower = Follower::new(Arc::clone(&store), filter.clone(), after);
    let mut seen: Vec<LoggedEvent> = Vec::new();
    loop {
        tokio::select! {
            page = follower.next(limit) => seen.extend(page.unwrap().events),
            _ = finished.wait_for(|finished| *finished) => break,
        }
        tokio::task::yield_now().await;
    }
    let last = logged(&store, &filter, after).await.pop().map_or(after, |event| event.sequence);
    while seen.last().map_or(after, |event| event.sequence) < last {
        let page = timeout(WAKE_DEADLINE, follower.next(limit)).await;
        seen.extend(page.unwrap_or_else(|_| panic!("asleep before {last}: {filter:?}")).unwrap().events);
    }
    seen
}

struct Following {
    filter: EventFilter,
    after: Sequence,
    limit: usize,
    seen: JoinHandle<Vec<LoggedEvent>>,
}

fn begin(
    store: &Arc<Store>,
    after: Sequence,
    limit: usize,
    finished: &watch::Receiver<bool>,
) -> Vec<Following> {
    let begin = |filter: EventFilter| {
        let seen = tokio::spawn(follow(Arc::clone(store), filter.clone(), after, limit, finished.clone()));
        Following { filter, after, limit, seen }
    };
    filters().into_iter().map(begin).collect()
}

/// Promise 3: first what is stored, then what comes, no gap and no repeat at the seam, for every kind of filter, from
/// every place, for the quick and for the slow whom memory has left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_every_event_once_in_order() {
    let cafe = Cafe::open();
    let (finish, finished) = watch::channel(false);
    let mut following = Vec::new();
    for limit in [1, 500] {
        following.extend(begin(&cafe.store, Sequence::START, limit, &finished));
    }
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&cafe.store), writer))).collect();
    // More begin while it goes on: at the head of that moment, and from the start, which is out of memory by then.
    for share in 1..=4 {
        let reached = Sequence((WRITERS * ROUNDS * share / 5) as u64);
        let mut follower = Follower::new(Arc::clone(&cafe.store), EventFilter::default(), reached);
        timeout(WAKE_DEADLINE, follower.more()).await.unwrap();
        following.extend(begin(&cafe.store, cafe.store.recent_events().head(), 3, &finished));
        following.extend(begin(&cafe.store, Sequence::START, 100, &finished));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(
        cafe.store
            .recent_events()
            .read(&EventQuery::after(EventFilter::default(), Sequence::START, 1))
            .is_none(),
        "memory has overflowed"
    );
    finish.send(true).unwrap();
    for Following { filter, after, limit, seen } in following {
        let (seen, want) = (seen.await.unwrap(), logged(&cafe.store, &filter, after).await);
        let places = |events: &[LoggedEvent]| events.iter().map(|event| event.sequence.0).collect::<Vec<_>>();
        assert_eq!(places(&seen), places(&want), "after {after}, {limit} at a time: {filter:?}");
        assert!(seen == want, "the same events, but other bytes: {filter:?}");
    }
}

/// CONTRACT 25.4: a follower whose filter lets nothing through moves its cursor along with the head all the same, so
/// that it never looks at the same events twice, nor after a reconnect.
#[tokio::test]
async fn a_filtered_follower_moves_its_cursor() {
    let cafe = Cafe::open();
    let store = &cafe.store;
    for elsewhere in filters().into_iter().filter(|filter| filter.room.is_some() || filter.actor.is_some()) {
        let mut follower = Follower::new(Arc::clone(store), elsewhere.clone(), store.recent_events().head());
        for number in 0..10 {
            let head = say(store, "lounge", "Mira", "x".repeat(number)).await;
            if follower.has_more() {
                let page = follower.read(10).await.unwrap();
                assert!(page.events.is_empty(), "{elsewhere:?}");
                assert!(!follower.has_more(), "there is always more: {elsewhere:?}");
            }
            assert_eq!(follower.scanned_to(), head, "{elsewhere:?}");
        }
    }
}

/// DESIGN 2: a follower of a room is woken by what happens in it, and sleeps through everything else.
#[tokio::test]
async fn a_room_wakes_its_followers() {
    let cafe = Cafe::open();
    let store = &cafe.store;
    let room = filters().into_iter().find(|filter| filter.tenant.is_some() && filter.room.is_some()).unwrap();
    let mut follower = Follower::new(Arc::clone(store), room, Sequence::START);
    for round in 1..=50_u64 {
        for number in 0..3 {
            say(store, "lounge", "Mira", "x".repeat(number)).await;
            assert!(!follower.has_more(), "woken for another room");
        }
        let here = say(store, "room-1", "Mira", "xx".to_owned()).await;
        timeout(WAKE_DEADLINE, follower.more()).await.unwrap();
        let page = follower.read(10).await.unwrap();
        assert_eq!(
            page.events.iter().map(|event| event.sequence).collect::<Vec<_>>(),
            [here],
            "round {round}"
        );
    }
}
