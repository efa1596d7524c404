//! The recent events hold a bounded amount, and no follower misses the wake-up for its event.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use agentcafe_domain::kernel::{
    event::{EventType, StoredEvent},
    ids::{ActorId, RoomId, Sequence, TenantId},
    time::Timestamp,
};
use agentcafe_eventlog::{EventFilter, EventQuery, MAX_RECENT_BYTES, RecentEvents};
use bytes::Bytes;
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

#[test]
fn recent_events_are_bounded_and_answer_only_what_they_hold_completely() {
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

#[test]
fn recent_events_notify_the_subscribers_of_the_room() {
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

/// Lets two threads begin a round at the same moment, without sleeping.
#[derive(Default)]
struct Rounds(AtomicU64);

impl Rounds {
    fn begin(&self, round: u64) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0_u32;
        while self.0.load(Ordering::SeqCst) < 2 * round {
            looks += 1;
            // The other thread may be waiting for this one's processor.
            if looks.is_multiple_of(10_000) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// A follower that subscribes to a room just when an event is published there is notified: `head` covers only events whose
/// subscribers were notified.
#[test]
fn recent_events_subscription_during_a_publication_misses_nothing() {
    const ROUNDS: u64 = 40_000;
    let recent_events = Arc::new(RecentEvents::new(Sequence::START));
    let rounds = Arc::new(Rounds::default());
    let publisher = {
        let (recent_events, rounds) = (Arc::clone(&recent_events), Arc::clone(&rounds));
        std::thread::spawn(move || {
            for number in 1..=ROUNDS {
                let events = vec![event(number, number, 1)];
                rounds.begin(number);
                recent_events.publish(events);
            }
        })
    };
    let mut missed = Vec::new();
    for number in 1..=ROUNDS {
        let (cursor, filter) = (Sequence(number - 1), of_room(number));
        rounds.begin(number);
        (0..number % 97).for_each(|_| std::hint::spin_loop());
        let waiting = recent_events.subscribe(&filter);
        // A follower reads the head first, then its watermark.
        while recent_events.head() <= cursor {
            std::hint::spin_loop();
        }
        let watermark = *waiting.borrow();
        if watermark.last <= cursor || watermark.resume(cursor) > cursor {
            missed.push(number);
        }
    }
    publisher.join().unwrap();
    assert!(
        missed.is_empty(),
        "{} of {ROUNDS} followers are asleep before their event: {missed:?}",
        missed.len()
    );
}
