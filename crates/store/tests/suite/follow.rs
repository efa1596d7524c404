//! Followers of a store see every event that matches, once, in order, while writers write.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{ActorId, Sequence};
use agentcafe_eventlog::{Follower, MAX_RECENT_BYTES};
use agentcafe_store::{EventFilter, EventQuery, LoggedEvent, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::commands::{NOTE_TYPES, actor, append_note, command, reply};
use crate::test_store::TestStore;

const WRITERS: usize = 6;
const ROUNDS: usize = 60;
/// Twice what memory holds, in all.
const TEXT_BYTES: usize = 2 * MAX_RECENT_BYTES / (WRITERS * ROUNDS);
/// How long a follower may take to wake.
const WAKE_DEADLINE: Duration = Duration::from_secs(20);

/// Filters of every kind: of one room, which are woken by that room, and others, which are woken by every event.
fn filters() -> Vec<EventFilter> {
    let scope = actor("room-1", "actor-1");
    let (tenant, room) = (Some(scope.tenant_id), Some(scope.room_id));
    let all = EventFilter::default;
    vec![
        all(),
        EventFilter { tenant: tenant.clone(), room: room.clone(), ..all() },
        EventFilter { tenant, room: room.clone(), actor: Some(scope.actor_id.clone()), ..all() },
        EventFilter { room, ..all() },
        EventFilter { actor: Some(scope.actor_id), ..all() },
        EventFilter { mentioned: ActorId::parse("Kai").ok(), ..all() },
        EventFilter { types: Some(vec![NOTE_TYPES[1], NOTE_TYPES[3]]), ..all() },
    ]
}

/// Appends to three rooms by three actors, notes of all types, some of which mention Kai.
async fn write(store: Arc<Store>, writer: usize) {
    for round in 0..ROUNDS {
        let actor =
            actor(&format!("room-{}", (writer + round) % 3), &format!("actor-{}", (writer * round) % 3));
        let text = "x".repeat(TEXT_BYTES + round);
        let mentioned = round.is_multiple_of(5).then(|| ActorId::parse("Kai").unwrap());
        let note = command(move |ctx| {
            let kind = NOTE_TYPES[round % NOTE_TYPES.len()];
            append_note(ctx, &actor, kind, &text, mentioned.clone())?;
            reply(&())
        });
        store.submit(note).await.unwrap();
    }
}

/// All events after a cursor that match, read from the database.
async fn matching(store: &Store, filter: &EventFilter, after: Sequence) -> Vec<LoggedEvent> {
    let before = Some(store.recent_events().head().next());
    let whole = EventQuery::after(filter.clone(), after, 1_000_000);
    store.events(EventQuery { before, max_bytes: usize::MAX, ..whole }).await.unwrap().events
}

/// Follows until the writers have finished and the last event was read. Lets other tasks run between pages.
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
            page = follower.next(limit, usize::MAX) => seen.extend(page.unwrap().events),
            _ = finished.wait_for(|finished| *finished) => break,
        }
        tokio::task::yield_now().await;
    }
    let last = matching(&store, &filter, after).await.pop().map_or(after, |event| event.sequence);
    while seen.last().map_or(after, |event| event.sequence) < last {
        let page = timeout(WAKE_DEADLINE, follower.next(limit, usize::MAX)).await;
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

fn start(
    store: &Arc<Store>,
    after: Sequence,
    limit: usize,
    finished: &watch::Receiver<bool>,
) -> Vec<Following> {
    let start = |filter: EventFilter| {
        let seen = tokio::spawn(follow(Arc::clone(store), filter.clone(), after, limit, finished.clone()));
        Following { filter, after, limit, seen }
    };
    filters().into_iter().map(start).collect()
}

/// First the stored events, then the new ones, without a gap or a duplicate at the seam: for every kind of filter, from every
/// cursor, for followers that keep up and for those that memory has left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_every_event_once_in_order() {
    let place = TestStore::new();
    let opened = place.open();
    let store = &opened.store;
    let (finish, finished) = watch::channel(false);
    let mut following = Vec::new();
    for limit in [1, 500] {
        following.extend(start(store, Sequence::START, limit, &finished));
    }
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(store), writer))).collect();
    // More start meanwhile: at the head, and from the start, which memory does not hold any more.
    for share in 1..=4 {
        let reached = Sequence((WRITERS * ROUNDS * share / 5) as u64);
        let mut follower = Follower::new(Arc::clone(store), EventFilter::default(), reached);
        timeout(WAKE_DEADLINE, follower.wait_for_more()).await.unwrap();
        following.extend(start(store, store.recent_events().head(), 3, &finished));
        following.extend(start(store, Sequence::START, 100, &finished));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let from_start = EventQuery::after(EventFilter::default(), Sequence::START, 1);
    assert!(store.recent_events().read(&from_start).is_none(), "memory has overflowed");
    finish.send(true).unwrap();
    for Following { filter, after, limit, seen } in following {
        let (seen, want) = (seen.await.unwrap(), matching(store, &filter, after).await);
        let sequences =
            |events: &[LoggedEvent]| events.iter().map(|event| event.sequence.0).collect::<Vec<_>>();
        assert_eq!(sequences(&seen), sequences(&want), "after {after}, {limit} at a time: {filter:?}");
        assert!(seen == want, "the same events, but other bytes: {filter:?}");
    }
    opened.close();
}
