//! The tail: the newest events in memory, and wake-ups that never leave a follower asleep before an event it waits for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use agentcafe_domain::{
    event::{EventType, StoredEvent},
    ids::{ActorId, RoomId, Sequence, TenantId},
};
use agentcafe_store::{
    EventFilter, EventQuery,
    tail::{MAX_TAIL_BYTES, Tail},
};
use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::place::BEGIN;

fn room(number: u64) -> RoomId {
    RoomId::parse(&format!("room-{number}")).unwrap()
}

fn event(sequence: u64, room_number: u64, bytes: usize) -> StoredEvent {
    StoredEvent {
        sequence: Sequence(sequence),
        event_id: Uuid::from_u128(u128::from(sequence)),
        tenant_id: TenantId::standard(),
        room_id: room(room_number),
        actor_id: ActorId::parse("Nova").unwrap(),
        kind: EventType::BubblePosted,
        timestamp: BEGIN,
        mentioned: None,
        json: Bytes::from(vec![b'x'; bytes]),
    }
}

fn of_room(number: u64) -> EventFilter {
    EventFilter { tenant: Some(TenantId::standard()), room: Some(room(number)), ..EventFilter::default() }
}

/// Promise 5: memory holds a bounded amount, whatever is published, and says what it no longer holds.
#[test]
fn memory_is_bounded_and_knows_where_it_begins() {
    let tail = Tail::new(Sequence(7));
    assert!(
        tail.read(&EventQuery::after(EventFilter::default(), Sequence(6), 10)).is_none(),
        "it does not know what was before"
    );
    let size = MAX_TAIL_BYTES / 4;
    for sequence in 8..=20 {
        tail.publish(vec![event(sequence, 1, size)]);
        let newest =
            tail.read(&EventQuery::after(EventFilter::default(), Sequence(sequence - 1), 10)).unwrap();
        assert_eq!((newest.events.len(), newest.examined), (1, Sequence(sequence)));
    }
    let all =
        EventQuery { max_bytes: usize::MAX, ..EventQuery::after(EventFilter::default(), Sequence(16), 10) };
    let page = tail.read(&all).unwrap();
    assert_eq!(page.events.iter().map(|event| event.sequence.0).collect::<Vec<_>>(), [17, 18, 19, 20]);
    assert!(tail.read(&EventQuery::after(EventFilter::default(), Sequence(15), 10)).is_none());
    tail.publish(vec![event(21, 1, 2 * MAX_TAIL_BYTES)]);
    assert!(
        tail.read(&EventQuery::after(EventFilter::default(), Sequence(20), 10)).is_none(),
        "an event too large for it is not kept"
    );
    assert!(
        tail.read(&EventQuery::after(EventFilter::default(), Sequence(21), 10)).unwrap().events.is_empty()
    );
    assert_eq!(tail.head(), Sequence(21));
}

/// DESIGN 2: a follower of a room is woken for that room, and not for others.
#[test]
fn a_room_wakes_only_those_who_wait_for_it() {
    let tail = Tail::new(Sequence::START);
    let (here, there, everywhere) =
        (tail.wake(&of_room(1)), tail.wake(&of_room(2)), tail.wake(&EventFilter::default()));
    tail.publish(vec![event(1, 1, 1)]);
    let woken = [&here, &there, &everywhere].map(|waiting| waiting.has_changed().unwrap());
    assert_eq!(woken, [true, false, true]);
    assert_eq!(here.borrow().last, Sequence(1));
}

/// Lets two threads begin a round at the same moment, without sleeping.
#[derive(Default)]
struct Rounds(AtomicU64);

impl Rounds {
    fn begin(&self, round: u64) {
        self.0.fetch_add(1, Ordering::SeqCst);
        spin_until(|| self.0.load(Ordering::SeqCst) >= 2 * round);
    }
}

fn spin_until(is_so: impl Fn() -> bool) {
    let mut looks = 0_u32;
    while !is_so() {
        looks += 1;
        // The other thread may be waiting for this one's processor.
        if looks.is_multiple_of(10_000) { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}

/// Promise 3, at the seam: someone who begins to wait for a room just when something is published there hears of it.
/// `head` covers only what everybody concerned was told of, so nobody may find itself covered who was not told.
#[test]
fn beginning_to_wait_misses_nothing() {
    const ROUNDS: u64 = 80_000;
    /// A busy machine, on which the two threads rarely run at the same time, does not come that far.
    const LONG_ENOUGH: Duration = Duration::from_secs(20);
    let began = Instant::now();
    let tail = Arc::new(Tail::new(Sequence::START));
    let (rounds, ended) = (Arc::new(Rounds::default()), Arc::new(AtomicBool::new(false)));
    let publisher = {
        let (tail, rounds, ended) = (Arc::clone(&tail), Arc::clone(&rounds), Arc::clone(&ended));
        std::thread::spawn(move || {
            for number in 1.. {
                let events = vec![event(number, number, 1)];
                rounds.begin(number);
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                tail.publish(events);
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
        let waiting = tail.wake(&filter);
        // A follower asks in this order: how far the log goes, then whether something of that is its own.
        spin_until(|| tail.head() > cursor);
        let mark = *waiting.borrow();
        if mark.last <= cursor || mark.resume(cursor) > cursor {
            missed.push(number);
        }
    }
    publisher.join().unwrap();
    assert!(missed.is_empty(), "followers are asleep before their event: {missed:?}");
}
