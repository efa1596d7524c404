//! The open rooms: the projection of each, and its events that are not written yet.

use std::borrow::Cow;
use std::collections::HashMap;

use agentcafe_client::ReceivedEvent;
use agentcafe_domain::kernel::{Event, RoomId, TenantId, Timestamp};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_redis::RoomName;
use agentcafe_redis::read_models::{RoomWrite, StreamEntry, present};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The most open rooms; beyond that, rooms without pending events and present actors are closed. A closed room is loaded from Redis
/// when it has another event.
const MAX_OPEN_ROOMS: usize = 1_000;

/// An event as the projector takes it.
pub(crate) struct RoomEvent {
    pub(crate) tenant: TenantId,
    pub(crate) room: RoomId,
    pub(crate) name: RoomName,
    /// For the projection; none if the type is unknown to this version.
    pub(crate) event: Option<Event>,
    /// For the room's stream in Redis.
    pub(crate) entry: StreamEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventFields<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    tenant_id: TenantId,
    room_id: RoomId,
    #[serde(borrow)]
    actor_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl RoomEvent {
    /// Parses an event.
    ///
    /// # Errors
    /// When it is not an event.
    pub(crate) fn parse(received: &ReceivedEvent) -> Result<Self, serde_json::Error> {
        let raw: EventFields<'_> = serde_json::from_slice(&received.json)?;
        let fields = [
            ("eventId", raw.event_id.into_owned()),
            ("sequence", received.sequence.to_string()),
            ("tenantId", raw.tenant_id.to_string()),
            ("roomId", raw.room_id.to_string()),
            ("actorId", raw.actor_id.into_owned()),
            ("type", raw.kind.into_owned()),
            ("timestamp", raw.timestamp.into_owned()),
            ("payload", raw.payload.get().to_owned()),
            ("event", String::from_utf8_lossy(&received.json).into_owned()),
        ];
        let name = RoomName::new(&raw.tenant_id, &raw.room_id);
        Ok(Self {
            tenant: raw.tenant_id,
            room: raw.room_id,
            name,
            event: received.parse().ok(),
            entry: StreamEntry { sequence: received.sequence, fields },
        })
    }
}

/// The open rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    open: HashMap<RoomName, OpenRoom>,
    /// Counts uses, for closing the least recently used room.
    uses: u64,
    pending_bytes: usize,
}

struct OpenRoom {
    projection: RoomProjection,
    used_at: u64,
    pending: Vec<StreamEntry>,
    /// Set while actors are present.
    presence: Option<WrittenPresence>,
}

/// The present actors of a room, as they were last written.
struct WrittenPresence {
    at: Timestamp,
    /// When the first of them expires.
    first_expiry: Option<Timestamp>,
}

impl Rooms {
    pub(crate) fn is_open(&self, name: &RoomName) -> bool {
        self.open.contains_key(name)
    }

    pub(crate) fn open(&mut self, name: RoomName, projection: RoomProjection, now: Timestamp) {
        self.uses += 1;
        let presence = WrittenPresence::new(&projection, now);
        self.open.insert(name, OpenRoom { projection, used_at: self.uses, pending: Vec::new(), presence });
    }

    /// Applies an event to its room, which must be open.
    pub(crate) fn apply(&mut self, event: RoomEvent) {
        self.uses += 1;
        let Some(open) = self.open.get_mut(&event.name) else { return };
        open.used_at = self.uses;
        if let Some(known) = &event.event {
            open.projection.apply(known);
        }
        self.pending_bytes += event.entry.fields.iter().map(|(_, value)| value.len()).sum::<usize>();
        open.pending.push(event.entry);
    }

    /// The size of the events that are not written yet, in bytes.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Takes the events that are not written yet, in the order of the rooms' names.
    pub(crate) fn take_pending(&mut self, now: Timestamp) -> Vec<RoomWrite<'_>> {
        self.pending_bytes = 0;
        let mut writes: Vec<RoomWrite<'_>> = Vec::new();
        for (room, open) in self.open.iter_mut().filter(|(_, open)| !open.pending.is_empty()) {
            let entries = std::mem::take(&mut open.pending);
            open.presence = WrittenPresence::new(&open.projection, now);
            writes.push(RoomWrite { room, projection: &open.projection, entries });
        }
        writes.sort_unstable_by_key(|write| write.room);
        writes
    }

    /// The rooms whose present actors must be written again: one has expired, or they were last written before `renew_before`.
    pub(crate) fn due(
        &mut self,
        now: Timestamp,
        renew_before: Timestamp,
    ) -> Vec<(&RoomName, &RoomProjection)> {
        let mut due = Vec::new();
        for (name, open) in &mut self.open {
            let Some(written) = &open.presence else { continue };
            if written.at <= renew_before || written.first_expiry.is_some_and(|expiry| expiry <= now) {
                open.presence = WrittenPresence::new(&open.projection, now);
                due.push((name, &open.projection));
            }
        }
        due
    }

    /// Closes idle rooms, the least recently used first, until at most [`MAX_OPEN_ROOMS`] are open.
    pub(crate) fn close_idle(&mut self) {
        let Some(too_many) = self.open.len().checked_sub(MAX_OPEN_ROOMS).filter(|&count| count > 0) else {
            return;
        };
        let idle = self.open.iter().filter(|(_, open)| open.pending.is_empty() && open.presence.is_none());
        let mut idle: Vec<(u64, RoomName)> = idle.map(|(name, open)| (open.used_at, name.clone())).collect();
        idle.sort_unstable_by_key(|(used_at, _)| *used_at);
        for (_, name) in idle.into_iter().take(too_many) {
            self.open.remove(&name);
        }
    }
}

impl WrittenPresence {
    fn new(projection: &RoomProjection, now: Timestamp) -> Option<Self> {
        let present = present(projection, now);
        let expiries = present.iter().filter_map(|actor| actor.presence.as_ref()?.expires_at);
        let first_expiry = expiries.min();
        (!present.is_empty()).then_some(Self { at: now, first_expiry })
    }
}
