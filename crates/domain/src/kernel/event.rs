//! The event envelope: what is stored, streamed and delivered, rendered once.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::kernel::id_patterns::IdPatterns;
use crate::kernel::ids::{ActorId, CorrelationId, RoomId, Sequence, TenantId};
use crate::kernel::time::Timestamp;

macro_rules! event_types {
    ($($variant:ident $text:literal,)*) => {
        /// Every type an event can have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant,)*
        }

        impl EventType {
            /// All of them, in the order of declaration.
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

/// The payload of one type of event. Its stored shape never changes silently: a golden file holds each.
pub trait Payload: Serialize {
    /// The type whose payload this is.
    const TYPE: EventType;

    /// The actor that the event mentions, for the index that mentions are listed by.
    fn mentioned(&self) -> Option<&ActorId> {
        None
    }

    /// What the event puts into inboxes.
    fn notifications(&self) -> Vec<Notification> {
        Vec::new()
    }
}

/// The notification of one actor of an event, whether or not that actor follows the room.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The actor.
    pub recipient: ActorId,
    /// The subject by which an inbox is filtered.
    pub topic: &'static str,
    /// The thread that the event belongs to.
    pub thread_id: Option<String>,
    /// The content of the inbox item, the topic included.
    pub payload: Map<String, Value>,
    /// The message that it is about.
    pub message: Option<NotifiedMessage>,
}

/// What an inbox item shows of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifiedMessage {
    /// The message.
    pub message_id: String,
    /// Its text.
    pub text: String,
    /// The beginning of its body, if it has one.
    pub preview: Option<String>,
}

impl Notification {
    /// A notification with these members and the topic, in no thread.
    pub fn new(topic: &'static str, recipient: ActorId, members: Value) -> Self {
        let mut payload = match members {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        payload.insert("topic".to_owned(), topic.into());
        Self { recipient, topic, thread_id: None, payload, message: None }
    }
}

/// Declares payload types with their [`Payload`] implementations, and a test that compares them with their golden files. A
/// block behind `=>` holds what an implementation has beside its type.
macro_rules! payloads {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$attribute:meta])* $field:ident : $of:ty),* $(,)? }
        $(=> { $($method:tt)* })?
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$attribute])* pub $field: $of,)*
        }

        impl $crate::kernel::Payload for $name {
            const TYPE: $crate::kernel::EventType = $crate::kernel::EventType::$name;

            $($($method)*)?
        }
    )*

        #[test]
        fn payloads_are_stored_as_their_golden_files_say() {
            $($crate::kernel::golden::check::<$name>();)*
        }
    };
}
pub(crate) use payloads;

/// A member that the payload of every event of a command gets, whatever its type.
#[derive(Clone, Debug)]
pub struct Annotation {
    name: &'static str,
    value: Box<RawValue>,
}

impl Annotation {
    /// The member `name` with this value.
    pub fn new(name: &'static str, value: &impl Serialize) -> Self {
        let value = serde_json::value::to_raw_value(value);
        Self { name, value: value.expect("an annotation has text keys and finite numbers") }
    }
}

impl Serialize for Annotation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name, &self.value)?;
        map.end()
    }
}

/// A payload, and behind its own members the annotation.
#[derive(Serialize)]
struct Annotated<'a, P> {
    #[serde(flatten)]
    payload: &'a P,
    #[serde(flatten)]
    annotation: &'a Annotation,
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
    /// The actor that did it.
    pub actor_id: ActorId,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When the batch that wrote it began.
    pub timestamp: Timestamp,
    /// The fields of its type.
    pub payload: Map<String, Value>,
    /// Ties together all events of one request.
    pub correlation_id: Option<CorrelationId>,
    /// The event that directly caused this one.
    pub causation_id: Option<String>,
    /// The API key of the request; missing: the actor is whoever the request said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<EventAuthor>,
}

/// By whose API key an event came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventAuthor {
    /// The API key.
    pub key_id: String,
    /// Whether the key is bound to the actor of the event: by its id, or by a prefix. A key of all actors may name any, which proves
    /// nothing.
    pub verified: bool,
}

/// The API key of a request.
#[derive(Clone, Debug)]
pub struct RequestAuthor {
    /// The API key.
    pub key_id: Arc<str>,
    /// The actors that its holder may be.
    pub actors: Arc<IdPatterns>,
}

impl RequestAuthor {
    /// By whose key an event of this actor comes about.
    pub(crate) fn of_event(&self, actor: &ActorId) -> EventAuthor {
        let verified = !self.actors.is_any() && self.actors.allow(actor.as_str());
        EventAuthor { key_id: self.key_id.to_string(), verified }
    }
}

/// All that is known of an event before it is rendered.
pub(crate) struct EventHeader<'a> {
    pub(crate) sequence: Sequence,
    pub(crate) event_id: uuid::Uuid,
    pub(crate) tenant: &'a TenantId,
    pub(crate) room: &'a RoomId,
    pub(crate) actor: &'a ActorId,
    pub(crate) at: Timestamp,
    pub(crate) correlation: &'a CorrelationId,
    pub(crate) cause: Option<&'a str>,
    pub(crate) by: Option<&'a EventAuthor>,
}

impl EventHeader<'_> {
    /// The members of an [`Event`] in the same order, around a payload that is not a map yet.
    fn render(&self, kind: EventType, payload: &impl Serialize) -> Bytes {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Rendering<'a, P> {
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
            #[serde(skip_serializing_if = "Option::is_none")]
            by: Option<&'a EventAuthor>,
        }
        let rendering = Rendering {
            sequence: self.sequence,
            event_id: self.event_id,
            tenant_id: self.tenant,
            room_id: self.room,
            actor_id: self.actor,
            kind,
            timestamp: self.at,
            payload,
            correlation_id: self.correlation,
            causation_id: self.cause,
            by: self.by,
        };
        serde_json::to_vec(&rendering).expect("a payload has text keys and finite numbers").into()
    }
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
    /// The actor that did it.
    pub actor_id: ActorId,
    /// What kind of thing it is.
    pub kind: EventType,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The mentioned actor, for `mention_created`.
    pub mentioned: Option<ActorId>,
    /// The whole [`Event`] as JSON on one line.
    pub json: Bytes,
}

impl StoredEvent {
    /// Reads an event from its JSON on one line, which stays as it is.
    ///
    /// # Errors
    /// The JSON is no event, or is on several lines: server-sent events would end at the first.
    pub fn restore(json: Bytes) -> Result<Self, serde_json::Error> {
        let mut event: Event = serde_json::from_slice(&json)?;
        if json.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(serde::de::Error::custom("its JSON has a line break"));
        }
        let mentioned = match event.kind {
            EventType::MentionCreated => {
                let actor = event.payload.remove("mentionedActorId").unwrap_or_default();
                Some(serde_json::from_value(actor)?)
            }
            _ => None,
        };
        Ok(Self { mentioned, ..Self::of(&event, json) })
    }

    /// An event and the JSON that it was read from, without the mentioned actor.
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

    pub(crate) fn render<P: Payload>(
        header: &EventHeader<'_>,
        payload: &P,
        annotation: Option<&Annotation>,
    ) -> Self {
        let json = match annotation {
            Some(annotation) => header.render(P::TYPE, &Annotated { payload, annotation }),
            None => header.render(P::TYPE, payload),
        };
        Self {
            sequence: header.sequence,
            event_id: header.event_id,
            tenant_id: header.tenant.clone(),
            room_id: header.room.clone(),
            actor_id: header.actor.clone(),
            kind: P::TYPE,
            timestamp: header.at,
            mentioned: payload.mentioned().cloned(),
            json,
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
