//! The clients of rooms, counted.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use agentcafe_eventlog::Subscriber;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

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
    /// There is a limit on how many streams are open.
    _permit: OwnedSemaphorePermit,
}

impl Subscriber for RoomSubscriber {}

impl RoomSubscribers {
    /// Counts one more client of a room.
    pub(crate) fn subscribe(self: &Arc<Self>, room: RoomKey, permit: OwnedSemaphorePermit) -> RoomSubscriber {
        *self.rooms.lock().entry(room.clone()).or_insert(0) += 1;
        RoomSubscriber { subscribers: Arc::downgrade(self), room, _permit: permit }
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
