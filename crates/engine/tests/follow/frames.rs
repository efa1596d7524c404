//! Frames that many followers share are the frames that each of them would have rendered from a reading of its own.

use std::sync::Arc;

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_engine::{
    Follower,
    fanout::{Fanout, FrameEncoder},
};
use agentcafe_store::{EventFilter, LoggedEvent, Store};

use crate::cafe::{Cafe, filters, logged, say};

const ENCODER: FrameEncoder = FrameEncoder {
    name: "test",
    put: |event, bytes| bytes.extend_from_slice(rendered(std::slice::from_ref(event)).as_bytes()),
};

/// CONTRACT 10: an event's frame.
fn rendered(events: &[LoggedEvent]) -> String {
    let frame = |event: &LoggedEvent| {
        let json = std::str::from_utf8(&event.json).unwrap();
        format!("id: {}\nevent: {}\ndata: {json}\n\n", event.sequence, event.kind.as_str())
    };
    events.iter().map(frame).collect()
}

/// Somebody who listens: what it was sent so far.
struct Listener {
    follower: Follower,
    after: Sequence,
    limit: Option<usize>,
    heard: Vec<u8>,
    count: usize,
}

impl Listener {
    fn new(store: &Arc<Store>, filter: EventFilter, after: Sequence, limit: Option<usize>) -> Self {
        let follower = Follower::new(Arc::clone(store), filter, after);
        Self { follower, after, limit, heard: Vec::new(), count: 0 }
    }

    async fn listen(&mut self, fanout: &Fanout) {
        while self.follower.has_more() {
            let before = self.follower.scanned_to();
            let frames = fanout.frames(&mut self.follower, ENCODER, self.limit).await.unwrap();
            assert!(frames.count <= self.limit.unwrap_or(usize::MAX));
            assert_eq!(frames.scanned_to, self.follower.scanned_to());
            assert!(frames.scanned_to > before, "the cursor stands still");
            self.heard.extend_from_slice(&frames.bytes);
            self.count += frames.count;
        }
    }

    async fn assert_heard_all(&self, store: &Store) {
        let want = logged(store, self.follower.filter(), self.after).await;
        assert_eq!(self.count, want.len(), "{:?}", self.follower.filter());
        assert!(self.heard == rendered(&want).as_bytes(), "{:?}", self.follower.filter());
        assert_eq!(self.follower.scanned_to(), store.recent_events().head());
    }
}

/// Listeners of every kind at this place.
fn listeners(store: &Arc<Store>, after: Sequence) -> Vec<Listener> {
    let kinds = filters().into_iter().flat_map(|filter| [None, Some(3)].map(|limit| (filter.clone(), limit)));
    kinds.map(|(filter, limit)| Listener::new(store, filter, after, limit)).collect()
}

async fn talk(store: &Store, rounds: std::ops::Range<usize>, bytes: usize) {
    for round in rounds {
        let (room, name) = (format!("room-{}", round % 3), format!("actor-{}", (round / 3) % 3));
        say(store, &room, &name, "x".repeat(bytes + round % 20)).await;
    }
}

/// DESIGN 2: what is shared is what a fresh reading renders, wherever and whenever somebody begins to listen, and
/// although others stood at the same place when less was there. In all it is more than is kept for sharing.
#[tokio::test]
async fn shared_frames_are_what_a_fresh_reading_renders() {
    let cafe = Cafe::open();
    let fanout = Fanout::default();
    let mut listening = Vec::new();
    for round in 0..12 {
        talk(&cafe.store, round * 30..(round + 1) * 30, 20_000 * (round % 3)).await;
        for place in [0, cafe.store.recent_events().head().0 / 2, cafe.store.recent_events().head().0] {
            listening.extend(listeners(&cafe.store, Sequence(place)));
        }
        // Only some listen each time, so that they stand at different places.
        for listener in listening.iter_mut().skip(round % 2).step_by(2) {
            listener.listen(&fanout).await;
        }
    }
    for listener in &mut listening {
        listener.listen(&fanout).await;
        listener.assert_heard_all(&cafe.store).await;
    }
}

/// The same on many threads while others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn frames_are_shared_safely_while_others_write() {
    let cafe = Cafe::open();
    let fanout = Arc::new(Fanout::default());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = Arc::clone(&cafe.store);
            tokio::spawn(async move { talk(&store, writer * 100..(writer + 1) * 100, 5_000).await })
        })
        .collect();
    let listening: Vec<_> = listeners(&cafe.store, Sequence::START)
        .into_iter()
        .chain(listeners(&cafe.store, Sequence::START))
        .map(|mut listener| {
            let (fanout, store) = (Arc::clone(&fanout), Arc::clone(&cafe.store));
            tokio::spawn(async move {
                while store.recent_events().head() < Sequence(400) {
                    listener.listen(&fanout).await;
                    tokio::task::yield_now().await;
                }
                listener
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for listener in listening {
        let mut listener = listener.await.unwrap();
        listener.listen(&fanout).await;
        listener.assert_heard_all(&cafe.store).await;
    }
}

/// DESIGN 2: the bytes are rendered once: two who stand at the same place get the same memory, not a copy.
#[tokio::test]
async fn those_at_the_same_place_share_the_bytes() {
    let cafe = Cafe::open();
    let fanout = Fanout::default();
    talk(&cafe.store, 0..20, 99).await;
    for filter in filters() {
        let mut two = [(), ()].map(|()| Follower::new(Arc::clone(&cafe.store), filter.clone(), Sequence(3)));
        let first = fanout.frames(&mut two[0], ENCODER, None).await.unwrap();
        let second = fanout.frames(&mut two[1], ENCODER, None).await.unwrap();
        assert!(first.count > 0, "{filter:?}");
        assert_eq!(first.bytes.as_ptr(), second.bytes.as_ptr(), "{filter:?}");
        assert_eq!(two[0].scanned_to(), two[1].scanned_to());
    }
}
