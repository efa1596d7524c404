//! The stream of one client of a room: its state, its last events, then the new ones.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use agentcafe_domain::kernel::Code;
use agentcafe_http::{FrameSource, StreamSession, Wakeup};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

use crate::initial_frames::InitialFrames;
use crate::room_cache::RoomKey;

enum Phase {
    Initial,
    Replay,
    Live,
    Ended,
}

/// The stream of one client.
pub(crate) struct RoomStream {
    session: StreamSession,
    initial: InitialFrames,
    replayed: usize,
    request_id: String,
    phase: Phase,
    subscription: RoomSubscription,
}

impl RoomStream {
    /// A stream whose follower starts at `initial.after`.
    pub(crate) fn new(
        session: StreamSession,
        initial: InitialFrames,
        subscription: RoomSubscription,
        request_id: String,
    ) -> Self {
        Self { replayed: initial.replayed, request_id, session, initial, phase: Phase::Initial, subscription }
    }

    /// The events before the client connected, batch by batch; then `ready`.
    async fn replay(&mut self) -> Option<Bytes> {
        if self.session.follower.scanned_to() >= self.initial.until {
            let (tenant, room) = &self.subscription.room;
            let data = json!({
                "tenantId": tenant, "roomId": room,
                "replayed": self.replayed, "requestId": self.request_id,
            });
            return Some(self.session.control("ready", &data));
        }
        let before = self.session.follower.scanned_to();
        self.phase = Phase::Replay;
        let (bytes, count) = self.frames().await;
        self.replayed += count;
        if bytes.is_some() || self.session.follower.scanned_to() > before {
            return bytes;
        }
        // Rooms are ahead of the log: the follower wakes for the missing events soon.
        match self.session.wakeup().await {
            Wakeup::More => None,
            other => Some(self.idle_frames(other)),
        }
    }

    /// The frames of a wakeup without events.
    fn idle_frames(&mut self, wakeup: Wakeup) -> Bytes {
        if wakeup == Wakeup::Heartbeat {
            return self.session.heartbeat();
        }
        self.phase = Phase::Ended;
        self.session.end_for_shutdown()
    }

    async fn live(&mut self) -> Option<Bytes> {
        match self.session.wakeup().await {
            Wakeup::More => self.frames().await.0,
            other => Some(self.idle_frames(other)),
        }
    }

    /// The next frames, if there are any, and the number of their events. If they cannot be read, the stream ends with an error.
    async fn frames(&mut self) -> (Option<Bytes>, usize) {
        match self.session.frames(None).await {
            Ok(frames) => ((frames.count > 0).then_some(frames.bytes), frames.count),
            Err(_) => {
                self.phase = Phase::Ended;
                (Some(self.session.end_with_error(Code::Unavailable)), 0)
            }
        }
    }
}

impl FrameSource for RoomStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let bytes = match std::mem::replace(&mut self.phase, Phase::Live) {
                Phase::Initial => {
                    let frame = self.initial.frames.pop_front();
                    self.phase = if frame.is_some() { Phase::Initial } else { Phase::Replay };
                    frame
                }
                Phase::Replay => self.replay().await,
                Phase::Live => self.live().await,
                Phase::Ended => return None,
            };
            if bytes.is_some() {
                return bytes;
            }
        }
    }
}

/// The number of clients of each room.
#[derive(Default)]
pub(crate) struct RoomSubscribers {
    rooms: Mutex<HashMap<RoomKey, usize>>,
}

/// Counts a client of a room until it is dropped.
pub(crate) struct RoomSubscription {
    subscribers: Weak<RoomSubscribers>,
    room: RoomKey,
}

impl RoomSubscribers {
    /// Counts one more client of a room.
    pub(crate) fn subscribe(self: &Arc<Self>, room: RoomKey) -> RoomSubscription {
        *self.rooms.lock().entry(room.clone()).or_insert(0) += 1;
        RoomSubscription { subscribers: Arc::downgrade(self), room }
    }

    /// The number of rooms with clients.
    pub(crate) fn rooms(&self) -> usize {
        self.rooms.lock().len()
    }
}

impl Drop for RoomSubscription {
    fn drop(&mut self) {
        let Some(subscribers) = self.subscribers.upgrade() else { return };
        let mut rooms = subscribers.rooms.lock();
        if let Some(count) = rooms.get_mut(&self.room) {
            *count -= 1;
            if *count == 0 {
                rooms.remove(&self.room);
            }
        }
    }
}
