//! The clients of rooms, counted.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use agentcafe_domain::kernel::Code;
use agentcafe_eventlog::{EventFilter, LogPosition, OpenKey, ReaderPosition, ResetReason, Subscriber};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::log_mirror::LogMirror;
use crate::room_cache::RoomKey;

/// The number of clients of each room.
#[derive(Default)]
pub(crate) struct RoomSubscribers {
    rooms: Mutex<HashMap<RoomKey, usize>>,
}

/// A client of a room, counted until it is dropped.
pub(crate) struct RoomSubscriber {
    subscribers: Weak<RoomSubscribers>,
    room: RoomKey,
    mirror: Arc<LogMirror>,
    /// The cursor of a client that connected before the log was received, until it is checked.
    unchecked: Option<ReaderPosition>,
    /// The API key that it came in with.
    key: OpenKey,
    /// There is a limit on how many streams are open.
    _permit: OwnedSemaphorePermit,
}

impl Subscriber for RoomSubscriber {
    async fn check_access(&mut self, _: &EventFilter) -> Result<(), Code> {
        self.key.check()?;
        if self.unchecked.is_some() && *self.mirror.watch_caught_up().borrow() {
            if self.reset().is_some() {
                return Err(Code::CursorAhead);
            }
            self.unchecked = None;
        }
        Ok(())
    }

    async fn access_changed(&mut self) {
        self.key.ended().await;
    }

    fn reset(&self) -> Option<(LogPosition, ResetReason)> {
        if let Some(log) = self.mirror.replaced_by() {
            return Some((log.clone(), ResetReason::OtherLog));
        }
        let log = self.mirror.log_position();
        let reader = self.unchecked.as_ref().filter(|_| *self.mirror.watch_caught_up().borrow())?;
        log.reset_reason(reader).map(|reason| (log, reason))
    }
}

impl RoomSubscribers {
    /// Counts one more client of a room.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        room: RoomKey,
        mirror: Arc<LogMirror>,
        unchecked: Option<ReaderPosition>,
        key: OpenKey,
        permit: OwnedSemaphorePermit,
    ) -> RoomSubscriber {
        *self.rooms.lock().entry(room.clone()).or_insert(0) += 1;
        RoomSubscriber { subscribers: Arc::downgrade(self), room, mirror, unchecked, key, _permit: permit }
    }

    /// The number of rooms with clients.
    pub(crate) fn rooms(&self) -> usize {
        self.rooms.lock().len()
    }
}

impl Drop for RoomSubscriber {
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
