//! The actors in the room: status, presence and position.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::EventEffects;
use super::payload_view::PayloadView;
use crate::kernel::{ActorId, Event, EventType, Timestamp};
use crate::presence::Status;
use crate::presence::position::{PathSegment, Point, SPAWN};

/// The most actors of a room. One more drops an inactive one, else the one with the oldest event.
pub const MAX_ACTORS: usize = 5_000;

/// An actor in the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorEntry {
    /// The actor.
    pub actor_id: ActorId,
    /// What it is doing.
    pub status: Status,
    /// Where it stands, as `x` and `y`.
    #[serde(flatten)]
    pub position: Point,
    /// When its last event happened.
    pub last_seen: Timestamp,
    /// What it ordered last.
    pub last_order: Option<LastOrder>,
    /// The steps it took last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_move: Option<PathSegment>,
    /// Whether it is there, once a heartbeat or a change of status said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<ActorPresence>,
}

/// What an actor ordered last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastOrder {
    /// What.
    pub item_id: Option<String>,
    /// In which size.
    pub size: Option<String>,
    /// When.
    pub ts: Timestamp,
}

/// How long an actor counts as there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorPresence {
    /// When it last showed that it is there.
    pub last_heartbeat_at: Option<Timestamp>,
    /// How long that holds, in milliseconds.
    pub ttl_ms: Option<i64>,
    /// When it runs out.
    pub expires_at: Option<Timestamp>,
    /// Whether it counts as there.
    pub is_active: bool,
}

/// An actor as the projector keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompactActor {
    /// The actor.
    pub actor_id: ActorId,
    /// What it is doing.
    pub status: Status,
    /// Where it stands, as `x` and `y`.
    #[serde(flatten)]
    pub position: Point,
    /// When its last event happened.
    pub last_seen: Timestamp,
    /// What it ordered last.
    pub last_order: Option<LastOrder>,
    /// Whether it is there.
    pub presence: Option<ActorPresence>,
}

impl ActorEntry {
    fn new(event: &Event) -> Self {
        Self {
            actor_id: event.actor_id.clone(),
            status: Status::Idle,
            position: SPAWN,
            last_seen: event.timestamp,
            last_order: None,
            last_move: None,
            presence: None,
        }
    }

    /// Whether the actor counts as there: it did not go inactive, and its time did not run out.
    pub fn is_active(&self) -> bool {
        self.status != Status::Inactive && self.presence.as_ref().is_none_or(|presence| presence.is_active)
    }

    /// The actor as the projector keeps it.
    pub fn compact(&self) -> CompactActor {
        CompactActor {
            actor_id: self.actor_id.clone(),
            status: self.status,
            position: self.position,
            last_seen: self.last_seen,
            last_order: self.last_order.clone(),
            presence: self.presence.clone(),
        }
    }

    fn apply(&mut self, event: &Event) {
        self.last_seen = event.timestamp;
        self.status = EventEffects::of(event.kind).status.unwrap_or(self.status);
        match event.kind {
            EventType::AgentEntered => {
                self.position = PayloadView::by(event).place("position").unwrap_or(SPAWN);
            }
            EventType::ActorMoved => self.moved(event),
            EventType::PresenceHeartbeat => self.apply_heartbeat(event),
            EventType::StatusChanged => self.change_status(event),
            EventType::OrderChanged => self.ordered(event),
            EventType::IntentCompleted => {
                self.position = PayloadView::by(event).place("finalPosition").unwrap_or(self.position);
            }
            _ => {}
        }
    }

    fn moved(&mut self, event: &Event) {
        if let Some(leg) = PayloadView::by(event).leg() {
            self.last_move = Some(leg);
            self.position = self.position.after(leg);
        }
    }

    fn ordered(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        self.last_order = Some(LastOrder {
            item_id: payload.text("itemId"),
            size: payload.text("size"),
            ts: event.timestamp,
        });
    }

    fn apply_heartbeat(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        self.status = heartbeat_status(event);
        self.presence = Some(ActorPresence {
            last_heartbeat_at: payload.timestamp("lastHeartbeatAt").or(Some(event.timestamp)),
            ttl_ms: payload.integer("ttlMs"),
            expires_at: payload.timestamp("expiresAt"),
            is_active: self.status != Status::Inactive,
        });
    }

    fn change_status(&mut self, event: &Event) {
        let payload = PayloadView::by(event);
        let Some(status) = payload.status("toStatus").or_else(|| payload.status("to")) else { return };
        self.status = status;
        let presence = self.presence.get_or_insert_with(|| ActorPresence {
            last_heartbeat_at: payload.timestamp("lastHeartbeatAt"),
            expires_at: payload.timestamp("expiresAt"),
            ..ActorPresence::default()
        });
        presence.is_active = status != Status::Inactive;
    }
}

/// The status that a heartbeat shows; idle if it has none.
fn heartbeat_status(event: &Event) -> Status {
    PayloadView::by(event).status("status").unwrap_or(Status::Idle)
}

/// Whether the event shows that its actor is in the room; a heartbeat may say that it is not.
fn shows_actor_in_room(event: &Event) -> bool {
    let is_gone =
        || event.kind == EventType::PresenceHeartbeat && heartbeat_status(event) == Status::Inactive;
    EventEffects::of(event.kind).shows_actor && !is_gone()
}

/// The actors in a room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Actors {
    /// With the number of each one's appearance, which orders them.
    by_id: BTreeMap<ActorId, (u64, ActorEntry)>,
    appearances: u64,
}

impl Actors {
    pub(super) fn apply(&mut self, event: &Event) {
        if event.kind == EventType::AgentLeft {
            self.by_id.remove(&event.actor_id);
            return;
        }
        if shows_actor_in_room(event) && !self.by_id.contains_key(&event.actor_id) {
            self.make_room();
            self.appearances += 1;
            let entry = ActorEntry::new(event);
            self.by_id.insert(event.actor_id.clone(), (self.appearances, entry));
        }
        if let Some((_, entry)) = self.by_id.get_mut(&event.actor_id) {
            entry.apply(event);
        }
    }

    fn make_room(&mut self) {
        if self.by_id.len() < MAX_ACTORS {
            return;
        }
        let min = |(_, (appearance, entry)): &(&ActorId, &(u64, ActorEntry))| {
            (entry.is_active(), entry.last_seen, *appearance)
        };
        if let Some(gone) = self.by_id.iter().min_by_key(min).map(|(id, _)| id.clone()) {
            self.by_id.remove(&gone);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All of them, in the order in which they appeared.
    pub(super) fn in_order(&self) -> Vec<&ActorEntry> {
        let mut actors: Vec<_> = self.by_id.values().collect();
        actors.sort_by_key(|(appearance, _)| *appearance);
        actors.into_iter().map(|(_, entry)| entry).collect()
    }
}
