//! The recent events: the newest events in memory, and the wake-ups of followers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use agentcafe_domain::kernel::{ActorId, EventType, RoomId, Sequence, StoredEvent, TenantId, Timestamp};
use agentcafe_eventlog::{EventFilter, EventQuery, MAX_RECENT_BYTES, RecentEvents};
use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

fn room(number: u64) -> RoomId {
    RoomId::parse(&format!("room-{number}")).unwrap()
}

fn event(sequence: u64, room_number: u64, bytes: usize) -> StoredEvent {
    StoredEvent {
        sequence: Sequence(sequence),
        event_id: Uuid::from_u128(u128::from(sequence)),
        tenant_id: TenantId::default(),
        room_id: room(room_number),
        actor_id: ActorId::parse("Nova").unwrap(),
        kind: EventType::BubblePosted,
        timestamp: Timestamp::from_millis(1_790_000_000_000),
        mentioned: None,
        json: Bytes::from(vec![b'x'; bytes]),
    }
}

fn of_room(number: u64) -> EventFilter {
    EventFilter { tenant: Some(TenantId::default()), room: Some(room(number)), ..EventFilter::default() }
}

/// Memory holds a bounded amount, whatever is published, and a page that begins before it is not answered
/// from memory.
#[test]
fn recent_events_are_bounded_and_know_where_they_begin() {
    let recent_events = RecentEvents::new(Sequence(7));
    assert!(
        recent_events.read(&EventQuery::after(EventFilter::default(), Sequence(6), 10)).is_none(),
        "it does not know what was before"
    );
    let size = MAX_RECENT_BYTES / 4;
    for sequence in 8..=20 {
        recent_events.publish(vec![event(sequence, 1, size)]);
        let newest = recent_events
            .read(&EventQuery::after(EventFilter::default(), Sequence(sequence - 1), 10))
            .unwrap();
        assert_eq!((newest.events.len(), newest.scanned_to), (1, Sequence(sequence)));
    }
    let all =
        EventQuery { max_bytes: usize::MAX, ..EventQuery::after(EventFilter::default(), Sequence(16), 10) };
    let page = recent_events.read(&all).unwrap();
    assert_eq!(page.events.iter().map(|event| event.sequence.0).collect::<Vec<_>>(), [17, 18, 19, 20]);
    assert!(recent_events.read(&EventQuery::after(EventFilter::default(), Sequence(15), 10)).is_none());
    recent_events.publish(vec![event(21, 1, 2 * MAX_RECENT_BYTES)]);
    assert!(
        recent_events.read(&EventQuery::after(EventFilter::default(), Sequence(20), 10)).is_none(),
        "an event too large for it is not kept"
    );
    assert!(
        recent_events
            .read(&EventQuery::after(EventFilter::default(), Sequence(21), 10))
            .unwrap()
            .events
            .is_empty()
    );
    assert_eq!(recent_events.head(), Sequence(21));
}

/// A follower of a room is woken by that room, and not by others.
#[test]
fn recent_events_of_a_room_wake_only_its_followers() {
    let recent_events = RecentEvents::new(Sequence::START);
    let (here, there, everywhere) = (
        recent_events.subscribe(&of_room(1)),
        recent_events.subscribe(&of_room(2)),
        recent_events.subscribe(&EventFilter::default()),
    );
    recent_events.publish(vec![event(1, 1, 1)]);
    let woken = [&here, &there, &everywhere].map(|waiting| waiting.has_changed().unwrap());
    assert_eq!(woken, [true, false, true]);
    assert_eq!(here.borrow().last, Sequence(1));
}

/// Waits without sleeping for what another thread does at any moment.
fn spin_until(is_done: impl Fn() -> bool) {
    let mut looks = 0_u32;
    while !is_done() {
        looks += 1;
        // The other thread may need this one's processor.
        if looks.is_multiple_of(10_000) { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}

/// Lets two threads start a round at the same moment.
#[derive(Default)]
struct SpinBarrier(AtomicU64);

impl SpinBarrier {
    fn begin(&self, round: u64) {
        self.0.fetch_add(1, Ordering::SeqCst);
        spin_until(|| self.0.load(Ordering::SeqCst) >= 2 * round);
    }
}

/// A follower that subscribes to a room while an event is published there finds the event. `head` covers
/// only events whose followers were notified, so no follower may find itself covered without a
/// notification.
#[test]
fn recent_events_wake_a_follower_that_subscribes_during_a_publication() {
    const ROUNDS: u64 = 80_000;
    /// A busy machine, on which the two threads rarely run at the same time, does not come that far.
    const LONG_ENOUGH: Duration = Duration::from_secs(20);
    let began = Instant::now();
    let recent_events = Arc::new(RecentEvents::new(Sequence::START));
    let (rounds, ended) = (Arc::new(SpinBarrier::default()), Arc::new(AtomicBool::new(false)));
    let publisher = {
        let (recent_events, rounds, ended) =
            (Arc::clone(&recent_events), Arc::clone(&rounds), Arc::clone(&ended));
        std::thread::spawn(move || {
            for number in 1.. {
                let events = vec![event(number, number, 1)];
                rounds.begin(number);
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                recent_events.publish(events);
            }
        })
    };
    let mut missed = Vec::new();
    for number in 1.. {
        let (cursor, filter) = (Sequence(number - 1), of_room(number));
        if number > ROUNDS || began.elapsed() > LONG_ENOUGH {
            ended.store(true, Ordering::SeqCst);
            rounds.begin(number);
            break;
        }
        rounds.begin(number);
        (0..number % 97).for_each(|_| std::hint::spin_loop());
        let waiting = recent_events.subscribe(&filter);
        // A follower reads in this order: the head of the log, then its own watermark.
        spin_until(|| recent_events.head() > cursor);
        let watermark = *waiting.borrow();
        if watermark.last <= cursor || watermark.resume(cursor) > cursor {
            missed.push(number);
        }
    }
    publisher.join().unwrap();
    assert!(missed.is_empty(), "followers were not woken for their event: {missed:?}");
}
