//! One room in memory: its newest events, and its state after all of them.

use std::collections::VecDeque;
use std::sync::Arc;

use agentcafe_domain::kernel::{Event, Sequence, StoredEvent};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent};
use bytes::Bytes;

use crate::log_mirror::page;

/// The most event JSON of one room, in bytes; the newest event is kept whatever its size.
const MAX_ROOM_BYTES: usize = 4 << 20;

/// A room in memory.
pub(crate) struct Room {
    /// The state; none if the older events were not read.
    projection: Option<RoomProjection>,
    /// The newest events: every event of the room after `complete_after`.
    history: VecDeque<Arc<StoredEvent>>,
    pub(crate) complete_after: Sequence,
    /// Every event of the room up to here was applied.
    pub(crate) last: Sequence,
    /// The size of the history, in bytes.
    pub(crate) bytes: usize,
    /// The state as JSON, until the next event.
    rendered: Option<Bytes>,
    /// Whether its older events are being loaded; it is not evicted meanwhile.
    pub(crate) is_loading: bool,
}

/// Where the replay of a room's newest events starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplayStart {
    /// After this event.
    pub(crate) after: Sequence,
    /// Whether matching events before it are skipped.
    pub(crate) has_gap: bool,
}

impl Room {
    /// A room whose events up to `last` are in `projection`, or, without one, are not known.
    pub(crate) fn new(projection: Option<RoomProjection>, last: Sequence) -> Self {
        Self {
            projection,
            history: VecDeque::new(),
            complete_after: last,
            last,
            bytes: 0,
            rendered: None,
            is_loading: false,
        }
    }

    /// Applies the room's next event; an event that was applied before is ignored.
    pub(crate) fn apply(&mut self, event: &Event, stored: Arc<StoredEvent>, limit: usize) {
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

    /// Adopts a projection of the log up to `scanned_to`, whose last event of the room is `last`; `false` if events between it and
    /// the history are missing.
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
            // The history holds only events that can be parsed.
            if let Ok(event) = serde_json::from_slice(&event.json) {
                projection.apply(&event);
            }
        }
        (self.projection, self.rendered) = (Some(projection), None);
        self.last = self.last.max(last);
        true
    }

    /// The state as JSON; none if it is not known.
    pub(crate) fn state(&mut self) -> Option<Bytes> {
        let projection = self.projection.as_ref()?;
        Some(self.rendered.get_or_insert_with(|| render(projection)).clone())
    }

    /// The page for a query, if the history holds everything that it examines. `head`: everything up to there was applied.
    pub(crate) fn read(&self, query: &EventQuery, head: Sequence) -> Option<EventPage> {
        if query.after < self.complete_after {
            return None;
        }
        let start = self.history.partition_point(|event| event.sequence <= query.after);
        let matching = self.history.range(start..).filter(|event| query.filter.matches(event));
        let matching = matching.map(|event| LoggedEvent::from(event.as_ref()));
        Some(page(query, matching, head.max(self.last)))
    }

    /// Where the newest `count` matching events after `after` begin; none if the history does not hold all of them.
    pub(crate) fn newest(&self, filter: &EventFilter, after: Sequence, count: usize) -> Option<ReplayStart> {
        let newest = self.history.iter().rev().take_while(|event| event.sequence > after);
        match newest.filter(|event| filter.matches(event)).nth(count) {
            Some(skipped) => Some(ReplayStart { after: skipped.sequence, has_gap: true }),
            None => (self.complete_after <= after).then_some(ReplayStart { after, has_gap: false }),
        }
    }
}

/// A room's state as JSON.
pub(crate) fn render(projection: &RoomProjection) -> Bytes {
    serde_json::to_vec(&projection.snapshot()).expect("a state has text keys and finite numbers").into()
}

#[cfg(test)]
pub(crate) mod tests {
    use agentcafe_domain::kernel::{ActorId, RoomId, TenantId};

    use super::*;

    /// Somebody entered a room.
    pub(crate) fn event(sequence: u64, room: &str, actor: &str) -> (Event, Arc<StoredEvent>) {
        let json = format!(
            r#"{{"sequence":{sequence},"eventId":"0196a000-0000-7000-8000-{sequence:012}","tenantId":"default","roomId":"{room}","actorId":"{actor}","type":"agent_entered","timestamp":"2026-01-02T03:04:05.678Z","payload":{{}},"correlationId":null,"causationId":null}}"#
        );
        let event: Event = serde_json::from_str(&json).unwrap();
        let stored = StoredEvent::of(&event, json.into());
        (event, Arc::new(stored))
    }

    fn empty() -> RoomProjection {
        RoomProjection::new(TenantId::default(), RoomId::main())
    }

    /// Kai enters with even sequences, Nova with odd ones.
    fn enter(room: &mut Room, sequences: impl IntoIterator<Item = u64>, limit: usize) {
        for sequence in sequences {
            let (event, stored) = event(sequence, "main", if sequence % 2 == 0 { "Kai" } else { "Nova" });
            room.apply(&event, stored, limit);
        }
    }

    fn room(sequences: impl IntoIterator<Item = u64>, limit: usize) -> Room {
        let mut room = Room::new(Some(empty()), Sequence::START);
        enter(&mut room, sequences, limit);
        room
    }

    fn sequences(page: EventPage) -> (Vec<u64>, u64) {
        (page.events.iter().map(|event| event.sequence.0).collect(), page.scanned_to.0)
    }

    #[test]
    fn room_answers_queries_that_its_history_covers() {
        let room = room([2, 4, 5, 7, 7, 6, 9], 3);
        let read = |after, limit| {
            let query = EventQuery::after(EventFilter::default(), Sequence(after), limit);
            room.read(&query, Sequence(20)).map(sequences)
        };
        assert_eq!(read(0, 10), None);
        assert_eq!(read(3, 10), None);
        assert_eq!(read(4, 10), Some((vec![5, 7, 9], 20)), "duplicates are ignored");
        assert_eq!(read(5, 1), Some((vec![7], 7)));
        assert_eq!(read(9, 1), Some((vec![], 20)));
        assert_eq!(read(30, 1), Some((vec![], 30)));
    }

    #[test]
    fn room_replay_starts_before_the_newest_matching_events_and_knows_of_gaps() {
        let room = room(1..=10, 6);
        let by =
            |name: &str| EventFilter { actor: Some(ActorId::parse(name).unwrap()), ..EventFilter::default() };
        let all = EventFilter::default();
        let cases = [
            (&all, 0, 3, Some((7, true))),
            (&all, 7, 3, Some((7, false))),
            (&all, 8, 3, Some((8, false))),
            (&all, 0, 6, None),
            (&all, 4, 6, Some((4, false))),
            (&by("Kai"), 0, 2, Some((6, true))),
            (&by("Kai"), 0, 3, None),
            (&by("Nova"), 5, 3, Some((5, false))),
        ];
        for (filter, after, count, want) in cases {
            let got = room.newest(filter, Sequence(after), count);
            let want = want.map(|(after, has_gap)| ReplayStart { after: Sequence(after), has_gap });
            assert_eq!(got, want, "{filter:?} after {after}, {count}");
        }
    }

    /// An adopted projection and the events that arrived meanwhile make one state, or the projection is rejected.
    #[test]
    fn room_adopts_a_projection_only_without_a_gap() {
        let want = room(1..=10, 500).state().unwrap();
        let mut partial = Room::new(None, Sequence(6));
        enter(&mut partial, 7..=10, 500);
        assert_eq!(partial.state(), None);
        let projected = |last| room(1..=last, 500).projection.unwrap();
        assert!(!partial.adopt(projected(5), Sequence(5), Sequence(5)), "6 is missing");
        assert!(partial.adopt(projected(8), Sequence(8), Sequence(8)));
        assert_eq!(partial.state().unwrap(), want);
    }
}
