//! Frames that many followers share are the frames that each of them would have rendered alone.

use std::sync::Arc;

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::{EventFilter, Fanout, Follower, FrameEncoder, LoggedEvent};

use crate::memory_log::{MemoryLog, filters};

const ENCODER: FrameEncoder = FrameEncoder {
    name: "test",
    encode: |event, bytes| bytes.extend_from_slice(rendered(std::slice::from_ref(event)).as_bytes()),
};

fn rendered(events: &[LoggedEvent]) -> String {
    let frame = |event: &LoggedEvent| {
        let json = std::str::from_utf8(&event.json).unwrap();
        format!("id: {}\nevent: {}\ndata: {json}\n\n", event.sequence, event.kind.as_str())
    };
    events.iter().map(frame).collect()
}

/// A follower, and the frames that it received so far.
struct Subscriber {
    follower: Follower,
    after: Sequence,
    limit: Option<usize>,
    received: Vec<u8>,
    count: usize,
}

impl Subscriber {
    fn new(log: &Arc<MemoryLog>, filter: EventFilter, after: Sequence, limit: Option<usize>) -> Self {
        let follower = Follower::new(Arc::clone(log), filter, after);
        Self { follower, after, limit, received: Vec::new(), count: 0 }
    }

    /// One of every kind at this cursor.
    fn of_every_kind(log: &Arc<MemoryLog>, after: Sequence) -> Vec<Self> {
        let kinds =
            filters().into_iter().flat_map(|filter| [None, Some(3)].map(|limit| (filter.clone(), limit)));
        kinds.map(|(filter, limit)| Self::new(log, filter, after, limit)).collect()
    }

    async fn receive(&mut self, fanout: &Fanout) {
        while self.follower.has_more() {
            let before = self.follower.scanned_to();
            let frames = fanout.frames(&mut self.follower, ENCODER, self.limit).await.unwrap();
            assert!(frames.count <= self.limit.unwrap_or(usize::MAX));
            assert_eq!(frames.scanned_to, self.follower.scanned_to());
            assert!(frames.scanned_to > before, "the cursor did not move");
            self.received.extend_from_slice(&frames.bytes);
            self.count += frames.count;
        }
    }

    fn assert_received_all(&self, log: &MemoryLog) {
        let want = log.matching(self.follower.filter(), self.after);
        assert_eq!(self.count, want.len(), "{:?}", self.follower.filter());
        assert!(self.received == rendered(&want).as_bytes(), "{:?}", self.follower.filter());
        assert_eq!(self.follower.scanned_to(), log.head());
    }
}

/// Whenever a follower starts, and although others had the same cursor when the log was shorter. In all, the frames are
/// more than the cache holds.
#[tokio::test]
async fn fanout_frames_equal_a_fresh_rendering() {
    let (log, fanout) = (MemoryLog::new(), Fanout::default());
    let mut subscribers = Vec::new();
    for round in 0..12 {
        log.append_many(30, 20_000 * (round % 3));
        for after in [0, log.head().0 / 2, log.head().0] {
            subscribers.extend(Subscriber::of_every_kind(&log, Sequence(after)));
        }
        // Only every other one reads each time, so that cursors differ.
        for subscriber in subscribers.iter_mut().skip(round % 2).step_by(2) {
            subscriber.receive(&fanout).await;
        }
    }
    for subscriber in &mut subscribers {
        subscriber.receive(&fanout).await;
        subscriber.assert_received_all(&log);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fanout_is_correct_on_many_threads_while_events_are_appended() {
    let (log, fanout) = (MemoryLog::new(), Arc::new(Fanout::default()));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for _ in 0..100 {
                    log.append_many(1, 5_000);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let subscribers: Vec<_> = (0..2)
        .flat_map(|_| Subscriber::of_every_kind(&log, Sequence::START))
        .map(|mut subscriber| {
            let (log, fanout) = (Arc::clone(&log), Arc::clone(&fanout));
            tokio::spawn(async move {
                while log.head() < Sequence(400) {
                    subscriber.receive(&fanout).await;
                    tokio::task::yield_now().await;
                }
                subscriber
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for subscriber in subscribers {
        let mut subscriber = subscriber.await.unwrap();
        subscriber.receive(&fanout).await;
        subscriber.assert_received_all(&log);
    }
}

#[tokio::test]
async fn fanout_shares_the_bytes_of_a_batch_without_a_copy() {
    let (log, fanout) = (MemoryLog::new(), Fanout::default());
    log.append_many(20, 99);
    for filter in filters() {
        let mut two = [(), ()].map(|()| Follower::new(Arc::clone(&log), filter.clone(), Sequence(3)));
        let first = fanout.frames(&mut two[0], ENCODER, None).await.unwrap();
        let second = fanout.frames(&mut two[1], ENCODER, None).await.unwrap();
        assert!(first.count > 0, "{filter:?}");
        assert_eq!(first.bytes.as_ptr(), second.bytes.as_ptr(), "{filter:?}");
        assert_eq!(two[0].scanned_to(), two[1].scanned_to());
    }
}
