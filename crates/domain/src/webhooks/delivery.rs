//! Deliveries and the dead-letter queue: two rings of records, in which the newest replace the oldest at no cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::{
    ActorId, Cell, Event, EventType, Key, Record, RecordQuery, RoomId, Sequence, Table, TenantId, Timestamp,
};

/// How many deliveries, and how many events that could not be delivered, are kept: the newest.
pub const RING_SLOTS: u64 = 10_000;

fn slot(number: u64) -> Cell {
    i64::try_from(number % RING_SLOTS).unwrap_or(0).into()
}

fn number(number: u64) -> Cell {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// Why an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliverySource {
    /// It was appended to the log.
    Live,
    /// A client replayed it from the dead-letter queue.
    DlqReplay,
}

impl DeliverySource {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::DlqReplay => "dlq_replay",
        }
    }
}

/// The event of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRef {
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: EventType,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its room.
    pub room_id: RoomId,
    /// The actor that did it.
    pub actor_id: ActorId,
}

impl From<&Event> for EventRef {
    fn from(event: &Event) -> Self {
        Self {
            event_id: event.event_id,
            event_type: event.kind,
            tenant_id: event.tenant_id.clone(),
            room_id: event.room_id.clone(),
            actor_id: event.actor_id.clone(),
        }
    }
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendResult {
    /// The status of the answer; none without one.
    pub status_code: Option<u16>,
    /// The error; none if it was delivered.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The attempt.
    pub id: Uuid,
    /// Its place among all attempts.
    pub delivery_seq: Sequence,
    /// The subscription.
    pub subscription_id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: EventType,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its room.
    pub room_id: RoomId,
    /// The actor that did it.
    pub actor_id: ActorId,
    /// Whether it arrived: it was answered with a 2xx.
    pub success: bool,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Why it was sent.
    pub source: DeliverySource,
    /// The entry that was replayed.
    pub dlq_id: Option<Uuid>,
    /// How long it took.
    pub duration_ms: u64,
    /// The status of the answer.
    pub status_code: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was recorded.
    pub created_at: Timestamp,
}

impl Record for Delivery {
    const TABLE: &'static Table = &Table {
        name: "webhook_deliveries",
        key: &["slot"],
        columns: &["delivery_seq", "subscription_id", "event_id", "tenant_id", "success"],
    };

    fn key(&self) -> Key {
        vec![slot(self.delivery_seq.0)]
    }

    fn columns(&self) -> Vec<Cell> {
        vec![
            number(self.delivery_seq.0),
            self.subscription_id.to_string().as_str().into(),
            self.event_id.to_string().as_str().into(),
            (&self.tenant_id).into(),
            self.success.into(),
        ]
    }
}

/// Whether an event of the dead-letter queue was delivered since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DlqStatus {
    /// It has not.
    Open,
    /// It has.
    Resolved,
}

impl DlqStatus {
    /// The names of the statuses.
    pub const NAMES: [(&str, Self); 2] = [("open", Self::Open), ("resolved", Self::Resolved)];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// An entry of the dead-letter queue: an event that could not be delivered to a subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DlqEntry {
    /// The entry.
    pub id: Uuid,
    /// Its place among all entries.
    pub dlq_seq: Sequence,
    /// The subscription.
    pub subscription_id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: EventType,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its room.
    pub room_id: RoomId,
    /// The actor that did it.
    pub actor_id: ActorId,
    /// The whole event.
    pub payload: Event,
    /// What the last attempt failed with.
    pub error: String,
    /// Whether it has arrived since.
    pub status: DlqStatus,
    /// How often it was replayed.
    pub replay_count: u32,
    /// When it was last replayed.
    pub replayed_at: Option<Timestamp>,
    /// What the last replay failed with.
    pub last_replay_error: Option<String>,
    /// When it was given up.
    pub created_at: Timestamp,
}

impl DlqEntry {
    /// Finds an entry by its id.
    pub fn with_id(id: Uuid) -> RecordQuery {
        RecordQuery::all::<Self>("dlq_seq", 1).is("id", id.to_string().as_str())
    }

    /// The key of the entry with this place, which is also that of the one that makes room for it.
    pub fn key_of(dlq_seq: u64) -> Key {
        vec![slot(dlq_seq)]
    }
}

impl Record for DlqEntry {
    const TABLE: &'static Table = &Table {
        name: "webhook_dlq",
        key: &["slot"],
        columns: &["dlq_seq", "id", "tenant_id", "subscription_id", "status"],
    };

    fn key(&self) -> Key {
        Self::key_of(self.dlq_seq.0)
    }

    fn columns(&self) -> Vec<Cell> {
        vec![
            number(self.dlq_seq.0),
            self.id.to_string().as_str().into(),
            (&self.tenant_id).into(),
            self.subscription_id.to_string().as_str().into(),
            self.status.as_str().into(),
        ]
    }
}
