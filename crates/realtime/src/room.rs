//! One room as it is kept in memory: its newest events, and what it looks like after all of them.

use std::{collections::VecDeque, sync::Arc};

use agentcafe_domain::{
    kernel::{
        event::{Event, StoredEvent},
        ids::Sequence,
    },
    projection::RoomProjection,
};
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent};
use bytes::Bytes;

/// How much event JSON of one room is kept at most, in bytes; the newest event is kept whatever its size.
const MAX_ROOM_BYTES: usize = 4 << 20;

/// A room in memory.
pub(crate) struct Room {
    /// What it looks like; none if its older events were never read.
    projection: Option<RoomProjection>,
    /// The newest events; every event of the room after `complete_after` is here.
    history: VecDeque<Arc<StoredEvent>>,
    complete_after: Sequence,
    /// Everything of the room up to here was taken in.
    last: Sequence,
    /// How much event JSON it holds, in bytes.
    pub(crate) bytes: usize,
    /// What was rendered last: the state, until something happens.
    rendered: Option<Bytes>,
    /// When it was last of use, in the order of use.
    pub(crate) used_at: u64,
    /// Whether its older events are being read.
    pub(crate) is_read: bool,
}

/// Where a client that wants the newest events of a room begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// After this one.
    pub(crate) after: Sequence,
    /// Whether something that it asked for was left out before.
    pub(crate) leaves_out: bool,
}

impl Room {
    /// A room of which everything up to `last` is in `projection`; without one, of which nothing is known up to `last`.
    pub(crate) fn new(projection: Option<RoomProjection>, last: Sequence) -> Self {
        Self {
            projection,
            history: VecDeque::new(),
            complete_after: last,
            last,
            bytes: 0,
            rendered: None,
            used_at: 0,
            is_read: false,
        }
    }

    /// Takes in the room's next event; one that is here already is passed over.
    pub(crate) fn take(&mut self, event: &Event, stored: Arc<StoredEvent>, limit: usize) {
        if stored.sequence <= self.last {
            return;
        }
        if let Some(projection) = &mut self.projection {
            projection.apply(event);
        }
        (self.last, self.rendered) = (stored.sequence, None);
        self.bytes += stored.json.len();
        self.history.push_back(stored);
        while self.history.len() > limit || (self.bytes > MAX_ROOM_BYTES && self.history.len() > 1) {
            let Some(oldest) = self.history.pop_front() else { break };
            self.bytes -= oldest.json.len();
            self.complete_after = oldest.sequence;
        }
    }

    /// Takes over what was folded elsewhere, of the log up to `scanned_to`, where the room's last event is `last`; `false` if
    /// events in between are missing.
    pub(crate) fn adopt(
        &mut self,
        mut projection: RoomProjection,
        last: Sequence,
        scanned_to: Sequence,
    ) -> bool {
        if self.complete_after > scanned_to {
            return false;
        }
        for event in self.history.iter().filter(|event| event.sequence > last) {
            // Only what could be read got in.
            if let Ok(event) = serde_json::from_slice(&event.json) {
                projection.apply(&event);
            }
        }
        (self.projection, self.rendered) = (Some(projection), None);
        self.last = self.last.max(last);
        true
    }

    /// Everything of the room up to here was taken in.
    pub(crate) fn last(&self) -> Sequence {
        self.last
    }

    /// Everything of the room after this is here.
    pub(crate) fn complete_after(&self) -> Sequence {
        self.complete_after
    }

    /// The state as JSON, if it is known.
    pub(crate) fn state(&mut self) -> Option<Bytes> {
        let projection = self.projection.as_ref()?;
        Some(self.rendered.get_or_insert_with(|| rendered(projection)).clone())
    }

    /// The answer to a query, if all that it looks at is here. `head`: everything up to there was taken in.
    pub(crate) fn read(&self, query: &EventQuery, head: Sequence) -> Option<EventPage> {
        if query.after < self.complete_after {
            return None;
        }
        let start = self.history.partition_point(|event| event.sequence <= query.after);
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in self.history.iter().skip(start).filter(|event| query.filter.matches(event)) {
            bytes += event.json.len();
            if events.len() == query.limit || (bytes > query.max_bytes && !events.is_empty()) {
                let scanned_to = events.last().map_or(query.after, |event: &LoggedEvent| event.sequence);
                return Some(EventPage { events, scanned_to });
            }
            events.push(LoggedEvent::from(event.as_ref()));
        }
        Some(EventPage { events, scanned_to: head.max(self.last).max(query.after) })
    }

    /// Where the newest `count` events begin, of those that match and come after `after`; none if not all of them are here.
    pub(crate) fn newest(&self, filter: &EventFilter, after: Sequence, count: usize) -> Option<Beginning> {
        let newest = self.history.iter().rev().take_while(|event| event.sequence > after);
        match newest.filter(|event| filter.matches(event)).nth(count) {
            Some(left_out) => Some(Beginning { after: left_out.sequence, leaves_out: true }),
            None => (self.complete_after <= after).then_some(Beginning { after, leaves_out: false }),
        }
    }
}

/// A room's state as it goes out.
pub(crate) fn rendered(projection: &RoomProjection) -> Bytes {
    serde_json::to_vec(&projection.snapshot()).expect("a state has text keys and finite numbers").into()
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::kernel::ids::{RoomId, TenantId};

    use super::*;

    fn event(sequence: u64, actor: &str) -> (Event, Arc<StoredEvent>) {
        let json = format!(
            r#"{{"sequence":{sequence},"eventId":"0196a000-0000-7000-8000-{sequence:012}","tenantId":"default","roomId":"main","actorId":"{actor}","type":"agent_entered","timestamp":"2026-01-02T03:04:05.678Z","payload":{{}},"correlationId":null,"causationId":null}}"#
        );
        let event: Event = serde_json::from_str(&json).unwrap();
        let stored = StoredEvent::of(&event, json.into());
        (event, Arc::new(stored))
    }

    fn empty() -> RoomProjection {
        RoomProjection::new(TenantId::default(), RoomId::main())
    }

    fn room(sequences: impl IntoIterator<Item = u64>, limit: usize) -> Room {
        let mut room = Room::new(Some(empty()), Sequence::START);
        for sequence in sequences {
            let (event, stored) = event(sequence, if sequence % 2 == 0 { "Kai" } else { "Nova" });
            room.take(&event, stored, limit);
        }
        room
    }

    fn found(page: EventPage) -> (Vec<u64>, u64) {
        (page.events.iter().map(|event| event.sequence.0).collect(), page.scanned_to.0)
    }

    /// CONTRACT 17 and RULINGS M8: the newest events are kept, and it is known when older ones are asked for.
    #[test]
    fn a_room_answers_what_it_has_whole() {
        let room = room([2, 4, 5, 7, 7, 6, 9], 3);
        let read = |after, limit| {
            let query = EventQuery::after(EventFilter::default(), Sequence(after), limit);
            room.read(&query, Sequence(20)).map(found)
        };
        assert_eq!(read(0, 10), None);
        assert_eq!(read(3, 10), None);
        assert_eq!(read(4, 10), Some((vec![5, 7, 9], 20)), "and repeats are passed over");
        assert_eq!(read(5, 1), Some((vec![7], 7)));
        assert_eq!(read(9, 1), Some((vec![], 20)));
        assert_eq!(read(30, 1), Some((vec![], 30)));
    }

    /// CONTRACT 17: the newest so many that match; RULINGS M8: what is left out is known.
    #[test]
    fn the_newest_events_are_found_from_behind() {
        let room = room(1..=10, 6);
        let of = |name: &str| EventFilter {
            actor: Some(agentcafe_domain::kernel::ids::ActorId::parse(name).unwrap()),
            ..EventFilter::default()
        };
        let all = EventFilter::default();
        let cases = [
            (&all, 0, 3, Some((7, true))),
            (&all, 7, 3, Some((7, false))),
            (&all, 8, 3, Some((8, false))),
            (&all, 0, 6, None),
            (&all, 4, 6, Some((4, false))),
            (&of("Kai"), 0, 2, Some((6, true))),
            (&of("Kai"), 0, 3, None),
            (&of("Nova"), 5, 3, Some((5, false))),
        ];
        for (filter, after, count, want) in cases {
            let got = room.newest(filter, Sequence(after), count);
            let want = want.map(|(after, leaves_out)| Beginning { after: Sequence(after), leaves_out });
            assert_eq!(got, want, "{filter:?} after {after}, {count}");
        }
    }

    /// RULINGS M10: what is folded elsewhere and what came meanwhile are one state, or it is known that something is missing.
    #[test]
    fn a_state_is_taken_over_without_a_gap() {
        let whole = room(1..=10, 500).state().unwrap();
        let mut partial = Room::new(None, Sequence(6));
        for sequence in 7..=10 {
            let (event, stored) = event(sequence, if sequence % 2 == 0 { "Kai" } else { "Nova" });
            partial.take(&event, stored, 500);
        }
        assert_eq!(partial.state(), None);
        let folded = |last: u64| {
            let mut projection = empty();
            for sequence in 1..=last {
                projection.apply(&event(sequence, if sequence % 2 == 0 { "Kai" } else { "Nova" }).0);
            }
            projection
        };
        assert!(!partial.adopt(folded(5), Sequence(5), Sequence(5)), "6 is missing");
        assert!(partial.adopt(folded(8), Sequence(8), Sequence(8)));
        assert_eq!(partial.state().unwrap(), whole);
    }
}
