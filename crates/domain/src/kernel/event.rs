//! The event envelope: what is stored, streamed and delivered, rendered once.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    inbox::InboxNotice,
    kernel::{
        ids::{ActorId, CorrelationId, RoomId, Sequence, TenantId},
        time::Timestamp,
    },
};

#[cfg(test)]
mod golden;
pub mod payload;

macro_rules! event_types {
    ($($variant:ident $text:literal,)*) => {
        /// Every type an event can have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant,)*
        }

        impl EventType {
            /// All of them, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

event_types! {
    AgentEntered "agent_entered",
    AgentLeft "agent_left",
    StatusChanged "status_changed",
    PresenceHeartbeat "presence_heartbeat",
    ActorMoved "actor_moved",
    ConversationMessagePosted "conversation_message_posted",
    MentionCreated "mention_created",
    OrderChanged "order_changed",
    IntentPlanned "intent_planned",
    IntentCompleted "intent_completed",
    SnapshotCreated "snapshot_created",
    RoomContextPinned "room_context_pinned",
    OperatorOverrideApplied "operator_override_applied",
    TaskCreated "task_created",
    TaskUpdated "task_updated",
    TaskAssigned "task_assigned",
    TaskProgressUpdated "task_progress_updated",
    TaskCompleted "task_completed",
    TaskHandoff "task_handoff",
    SharedObjectCreated "shared_object_created",
    SharedObjectUpdated "shared_object_updated",
    RoomCreated "room_created",
    RoomUpdated "room_updated",
    TableSessionCreated "table_session_created",
    TableSessionUpdated "table_session_updated",
    TableSessionEnded "table_session_ended",
    BubblePosted "bubble_posted",
}

impl EventType {
    /// The type with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// What an event of one type says. Its stored shape never changes silently: a golden file holds each.
pub trait Payload: Serialize {
    /// The type whose payload this is.
    const TYPE: EventType;

    /// Who is mentioned, for the index that mentions are listed by.
    fn mentioned(&self) -> Option<&ActorId> {
        None
    }

    /// Whose inboxes the event reaches.
    fn notices(&self) -> Vec<InboxNotice> {
        Vec::new()
    }
}

/// The payload of an event that a reaction made: whatever it says, and which reaction it was.
#[derive(Serialize)]
pub(crate) struct WithReaction<'a, P> {
    #[serde(flatten)]
    pub(crate) payload: &'a P,
    pub(crate) reaction: &'a payload::ReactionRef,
}

impl<P: Payload> Payload for WithReaction<'_, P> {
    const TYPE: EventType = P::TYPE;

    fn mentioned(&self) -> Option<&ActorId> {
        self.payload.mentioned()
    }

    fn notices(&self) -> Vec<InboxNotice> {
        self.payload.notices()
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the log: the only ordering and cursor key, global over tenants.
    pub sequence: Sequence,
    /// Unique for ever.
    pub event_id: uuid::Uuid,
    /// The tenant it happened in.
    pub tenant_id: TenantId,
    /// The room it happened in.
    pub room_id: RoomId,
    /// Who did it.
    pub actor_id: ActorId,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When the turn that wrote it began.
    pub timestamp: Timestamp,
    /// What it says, by type.
    pub payload: Map<String, Value>,
    /// Ties together all events of one request.
    pub correlation_id: Option<CorrelationId>,
    /// The event that directly caused this one.
    pub causation_id: Option<String>,
}

/// The same fields in the same order, around a payload that is not a map yet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendering<'a, P: Serialize> {
    sequence: Sequence,
    event_id: uuid::Uuid,
    tenant_id: &'a TenantId,
    room_id: &'a RoomId,
    actor_id: &'a ActorId,
    #[serde(rename = "type")]
    kind: EventType,
    timestamp: Timestamp,
    payload: &'a P,
    correlation_id: &'a CorrelationId,
    causation_id: Option<&'a str>,
}

/// An event as the log keeps it: the columns it is found by, and the JSON that goes out as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub sequence: Sequence,
    /// Unique for ever.
    pub event_id: uuid::Uuid,
    /// The tenant it happened in.
    pub tenant_id: TenantId,
    /// The room it happened in.
    pub room_id: RoomId,
    /// Who did it.
    pub actor_id: ActorId,
    /// What kind of thing it is.
    pub kind: EventType,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Who is mentioned, for `mention_created`.
    pub mentioned: Option<ActorId>,
    /// The whole [`Event`] as JSON on one line.
    pub json: Bytes,
}

/// Where an event stands: all that is known of it before it is rendered.
pub(crate) struct EventHeader<'a> {
    pub(crate) sequence: Sequence,
    pub(crate) event_id: uuid::Uuid,
    pub(crate) tenant: &'a TenantId,
    pub(crate) room: &'a RoomId,
    pub(crate) actor: &'a ActorId,
    pub(crate) at: Timestamp,
    pub(crate) correlation: &'a CorrelationId,
    pub(crate) cause: Option<&'a str>,
}

impl StoredEvent {
    /// Reads an event from its JSON on one line, which stays as it is.
    ///
    /// # Errors
    /// The JSON is no event.
    pub fn restore(json: Bytes) -> Result<Self, serde_json::Error> {
        let mut event: Event = serde_json::from_slice(&json)?;
        let mentioned = if event.kind == EventType::MentionCreated {
            let payload = Value::Object(std::mem::take(&mut event.payload));
            Some(serde_json::from_value::<payload::MentionCreated>(payload)?.mentioned_actor_id)
        } else {
            None
        };
        Ok(Self { mentioned, ..Self::of(&event, json) })
    }

    /// An event and the JSON that it was read from; whom it mentions is left out.
    pub fn of(event: &Event, json: Bytes) -> Self {
        Self {
            sequence: event.sequence,
            event_id: event.event_id,
            tenant_id: event.tenant_id.clone(),
            room_id: event.room_id.clone(),
            actor_id: event.actor_id.clone(),
            kind: event.kind,
            timestamp: event.timestamp,
            mentioned: None,
            json,
        }
    }

    pub(crate) fn render<P: Payload>(place: &EventHeader<'_>, payload: &P) -> Self {
        let rendering = Rendering {
            sequence: place.sequence,
            event_id: place.event_id,
            tenant_id: place.tenant,
            room_id: place.room,
            actor_id: place.actor,
            kind: P::TYPE,
            timestamp: place.at,
            payload,
            correlation_id: place.correlation,
            causation_id: place.cause,
        };
        let json = serde_json::to_vec(&rendering).expect("a payload has text keys and finite numbers");
        Self {
            sequence: place.sequence,
            event_id: place.event_id,
            tenant_id: place.tenant.clone(),
            room_id: place.room.clone(),
            actor_id: place.actor.clone(),
            kind: P::TYPE,
            timestamp: place.at,
            mentioned: payload.mentioned().cloned(),
            json: json.into(),
        }
    }
}

/// An event in the list of what a request emitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmittedEvent {
    /// Unique for ever.
    pub event_id: uuid::Uuid,
    /// Its place in the log.
    pub sequence: Sequence,
    /// What kind of thing it is.
    pub event_type: EventType,
}

impl EmittedEvent {
    /// The event's id as a cause of another.
    pub fn cause(&self) -> String {
        self.event_id.to_string()
    }
}
