//! The rooms that are open: where each stands, and what of it is not written yet.

use std::collections::HashMap;

use agentcafe_domain::{kernel::time::Timestamp, projection::RoomProjection};
use agentcafe_redis::{
    RoomName,
    read_models::{RoomWrite, StreamEntry, present},
};

use crate::arrival::Arrival;

/// The most rooms that are kept open without being written to, or watched; others are taken up again when they are needed.
const MAX_OPEN_ROOMS: usize = 1_000;

/// The rooms that are open.
#[derive(Default)]
pub(crate) struct Rooms {
    open: HashMap<RoomName, Open>,
    /// Counts up with each use.
    uses: u64,
    pending_bytes: usize,
}

struct Open {
    projection: RoomProjection,
    used: u64,
    pending: Vec<StreamEntry>,
    /// When who is present was written last, if anybody is, and when the first of them goes.
    watched: Option<(Timestamp, Option<Timestamp>)>,
}

impl Rooms {
    pub(crate) fn is_open(&self, name: &RoomName) -> bool {
        self.open.contains_key(name)
    }

    pub(crate) fn open(&mut self, name: RoomName, projection: RoomProjection, now: Timestamp) {
        self.uses += 1;
        let watched = watch(&projection, now);
        self.open.insert(name, Open { projection, used: self.uses, pending: Vec::new(), watched });
    }

    /// Takes an event into its room, which is open.
    pub(crate) fn take(&mut self, arrival: Arrival) {
        self.uses += 1;
        let Some(open) = self.open.get_mut(&arrival.name) else { return };
        open.used = self.uses;
        if let Some(event) = &arrival.event {
            open.projection.apply(event);
        }
        self.pending_bytes += arrival.entry.fields.iter().map(|(_, value)| value.len()).sum::<usize>();
        open.pending.push(arrival.entry);
    }

    /// How much is waiting to be written, in bytes.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// What is to be written, in the order of the rooms' names.
    pub(crate) fn take_pending(&mut self, now: Timestamp) -> Vec<RoomWrite<'_>> {
        self.pending_bytes = 0;
        let mut writes: Vec<RoomWrite<'_>> = Vec::new();
        for (room, open) in self.open.iter_mut().filter(|(_, open)| !open.pending.is_empty()) {
            let entries = std::mem::take(&mut open.pending);
            open.watched = watch(&open.projection, now);
            writes.push(RoomWrite { room, projection: &open.projection, entries });
        }
        writes.sort_unstable_by_key(|write| write.room);
        writes
    }

    /// The rooms whose presence is to be written again: somebody's time ran out, or it was not written since `renew_before`.
    pub(crate) fn due(
        &mut self,
        now: Timestamp,
        renew_before: Timestamp,
    ) -> Vec<(&RoomName, &RoomProjection)> {
        let mut due = Vec::new();
        for (name, open) in &mut self.open {
            let Some((written_at, first_ends_at)) = open.watched else { continue };
            if written_at <= renew_before || first_ends_at.is_some_and(|ends_at| ends_at <= now) {
                open.watched = watch(&open.projection, now);
                due.push((name, &open.projection));
            }
        }
        due
    }

    /// Closes rooms that nobody needs just now, the longest unused first, until few enough are open.
    pub(crate) fn close_idle(&mut self) {
        let Some(too_many) = self.open.len().checked_sub(MAX_OPEN_ROOMS).filter(|&count| count > 0) else {
            return;
        };
        let idle = self.open.iter().filter(|(_, open)| open.pending.is_empty() && open.watched.is_none());
        let mut idle: Vec<(u64, RoomName)> = idle.map(|(name, open)| (open.used, name.clone())).collect();
        idle.sort_unstable_by_key(|(used, _)| *used);
        for (_, name) in idle.into_iter().take(too_many) {
            self.open.remove(&name);
        }
    }
}

fn watch(projection: &RoomProjection, now: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
    let present = present(projection, now);
    let ends = present.iter().filter_map(|actor| actor.presence.as_ref()?.expires_at);
    let first_ends_at = ends.min();
    (!present.is_empty()).then_some((now, first_ends_at))
}
