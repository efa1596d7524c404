//! Deliveries and the dead-letter queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event_schemas::AnyEvent;
use crate::kernel::{
    ActorId, Event, EventType, Key, Owner, RecordQuery, RoomId, Sequence, TenantId, Timestamp, record,
    wire_enum,
};

wire_enum! {
    /// Why an event was sent.
    #[derive(JsonSchema)]
    pub enum DeliverySource {
        /// It was appended to the log.
        Live = "live",
        /// A client replayed it from the dead-letter queue.
        DlqReplay = "dlq_replay",
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
    /// The owner of the subscription, if it was made with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
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

record!(Delivery in "webhook_deliveries" as delivery: [number = delivery.delivery_seq]
    delivery_seq, subscription_id, event_id, tenant_id, success, owner);

wire_enum! {
    /// Whether an event of the dead-letter queue was delivered since.
    #[derive(JsonSchema)]
    pub enum DlqStatus {
        /// It has not.
        Open = "open",
        /// It has.
        Resolved = "resolved",
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
    /// The owner of the subscription, if it was made with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
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
    #[schemars(with = "AnyEvent")]
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
        RecordQuery::all::<Self>("dlq_seq", 1).is("id", id)
    }

    /// The key of the entry with this place.
    pub fn key_of(dlq_seq: Sequence) -> Key {
        vec![dlq_seq.into()]
    }
}

record!(DlqEntry in "webhook_dlq" as entry: [number = entry.dlq_seq]
    dlq_seq, id, tenant_id, subscription_id, status, owner);
