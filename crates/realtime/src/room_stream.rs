//! One client of a room: what the room looks like, what happened last, what happens.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use agentcafe_domain::kernel::error::Code;
use agentcafe_http::{FrameSource, StreamSession, Wakeup};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

use crate::{introduction::Introduction, rooms::RoomKey};

enum Phase {
    Introduction,
    Replay,
    Live,
    Over,
}

/// One client of a room.
pub(crate) struct RoomStream {
    session: StreamSession,
    introduction: Introduction,
    replayed: usize,
    request_id: String,
    phase: Phase,
    in_room: InRoom,
}

impl RoomStream {
    /// Tells a client, whose follower stands where the introduction says that it begins.
    pub(crate) fn new(
        session: StreamSession,
        introduction: Introduction,
        in_room: InRoom,
        request_id: String,
    ) -> Self {
        Self {
            replayed: introduction.replayed,
            request_id,
            session,
            introduction,
            phase: Phase::Introduction,
            in_room,
        }
    }

    /// What happened before the client came, batch by batch; then `ready`.
    async fn replay(&mut self) -> Option<Bytes> {
        if self.session.follower.scanned_to() >= self.introduction.until {
            let (tenant, room) = &self.in_room.room;
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
        // What happened a moment ago is about to be told.
        match self.session.wakeup().await {
            Wakeup::More => None,
            other => Some(self.interrupted(other)),
        }
    }

    /// What is said to whom nothing happened.
    fn interrupted(&mut self, wakeup: Wakeup) -> Bytes {
        if wakeup == Wakeup::Heartbeat {
            return self.session.heartbeat();
        }
        self.phase = Phase::Over;
        self.session.end_for_shutdown()
    }

    async fn live(&mut self) -> Option<Bytes> {
        match self.session.wakeup().await {
            Wakeup::More => self.frames().await.0,
            other => Some(self.interrupted(other)),
        }
    }

    /// The next frames, if there are any, and how many events they hold; if they cannot be read, the client is told to come
    /// back.
    async fn frames(&mut self) -> (Option<Bytes>, usize) {
        match self.session.frames(None).await {
            Ok(frames) => ((frames.count > 0).then_some(frames.bytes), frames.count),
            Err(_) => {
                self.phase = Phase::Over;
                (Some(self.session.end_with_error(Code::Unavailable)), 0)
            }
        }
    }
}

impl FrameSource for RoomStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let sent = match std::mem::replace(&mut self.phase, Phase::Live) {
                Phase::Introduction => {
                    let piece = self.introduction.pieces.pop_front();
                    self.phase = if piece.is_some() { Phase::Introduction } else { Phase::Replay };
                    piece
                }
                Phase::Replay => self.replay().await,
                Phase::Live => self.live().await,
                Phase::Over => return None,
            };
            if let Some(bytes) = sent {
                return Some(bytes);
            }
        }
    }
}

/// Which rooms have clients.
#[derive(Default)]
pub(crate) struct Listeners {
    rooms: Mutex<HashMap<RoomKey, usize>>,
}

/// A client in a room, for as long as it is there.
pub(crate) struct InRoom {
    listeners: Weak<Listeners>,
    room: RoomKey,
}

impl Listeners {
    /// One more in this room.
    pub(crate) fn enter(self: &Arc<Self>, room: RoomKey) -> InRoom {
        *self.rooms.lock().entry(room.clone()).or_insert(0) += 1;
        InRoom { listeners: Arc::downgrade(self), room }
    }

    /// How many rooms have clients.
    pub(crate) fn rooms(&self) -> usize {
        self.rooms.lock().len()
    }
}

impl Drop for InRoom {
    fn drop(&mut self) {
        let Some(listeners) = self.listeners.upgrade() else { return };
        let mut rooms = listeners.rooms.lock();
        if let Some(count) = rooms.get_mut(&self.room) {
            *count -= 1;
            if *count == 0 {
                rooms.remove(&self.room);
            }
        }
    }
}
