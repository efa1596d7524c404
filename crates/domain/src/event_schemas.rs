//! The JSON Schemas of events: each type has one of its own, and one of its payload.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::conversation::{BubblePosted, ConversationMessagePosted, MentionCreated};
use crate::kernel::{Event, EventType, Payload};
use crate::objects::{SharedObjectCreated, SharedObjectUpdated};
use crate::operators::OperatorOverrideApplied;
use crate::orders::OrderChanged;
use crate::presence::arrival::{AgentEntered, AgentLeft};
use crate::presence::movement::{ActorMoved, IntentCompleted, IntentPlanned};
use crate::presence::{PresenceHeartbeat, StatusChanged};
use crate::reactions::{ANNOTATION, ReactionRef};
use crate::rooms::{RoomContextPinned, RoomCreated, RoomUpdated};
use crate::snapshots::SnapshotCreated;
use crate::tables::{TableSessionCreated, TableSessionEnded, TableSessionUpdated};
use crate::tasks::{TaskAssigned, TaskCompleted, TaskCreated, TaskHandoff, TaskProgressUpdated, TaskUpdated};

/// The schema `Event`: an event of any type, which its `type` tells.
pub enum AnyEvent {}

impl JsonSchema for AnyEvent {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut mapping = Map::new();
        let mut references = Vec::new();
        for kind in EventType::ALL {
            let reference = of_type(*kind, generator).to_value();
            mapping.insert(kind.as_str().to_owned(), reference["$ref"].clone());
            references.push(reference);
        }
        json_schema!({
            "description": "One thing that happened.",
            "oneOf": references,
            "discriminator": { "propertyName": "type", "mapping": mapping },
        })
    }
}

/// Declares [`of_type`] for these payloads, each of which has the name of its type.
macro_rules! payload_schemas {
    ($($payload:ident)*) => {
        /// The reference to the schema of this type of event.
        fn of_type(kind: EventType, generator: &mut SchemaGenerator) -> Schema {
            match kind {
                $(EventType::$payload => generator.subschema_for::<EventOf<$payload>>(),)*
            }
        }
    };
}

payload_schemas! {
    AgentEntered AgentLeft StatusChanged PresenceHeartbeat ActorMoved ConversationMessagePosted
    MentionCreated OrderChanged IntentPlanned IntentCompleted SnapshotCreated RoomContextPinned
    OperatorOverrideApplied TaskCreated TaskUpdated TaskAssigned TaskProgressUpdated TaskCompleted
    TaskHandoff SharedObjectCreated SharedObjectUpdated RoomCreated RoomUpdated TableSessionCreated
    TableSessionUpdated TableSessionEnded BubblePosted
}

/// The schema `…Event`: an event with this payload.
struct EventOf<P>(PhantomData<P>);

impl<P: Payload + JsonSchema> JsonSchema for EventOf<P> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Event", P::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut event = Event::json_schema(generator);
        let payload = generator.subschema_for::<PayloadOf<P>>();
        let description = P::json_schema(generator).remove("description").unwrap_or_default();
        event.insert("description".to_owned(), description);
        set_property(&mut event, "type", json!({ "type": "string", "const": P::TYPE }));
        set_property(&mut event, "payload", payload.to_value());
        event
    }
}

/// The schema `…Payload`: this payload, as an event of any request or reaction has it.
struct PayloadOf<P>(PhantomData<P>);

impl<P: Payload + JsonSchema> JsonSchema for PayloadOf<P> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Payload", P::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut payload = P::json_schema(generator);
        let mut reaction = generator.subschema_for::<ReactionRef>();
        let description = "The reaction that the event is part of; missing if there is none.";
        reaction.insert("description".to_owned(), description.into());
        set_property(&mut payload, ANNOTATION, reaction.to_value());
        payload
    }
}

/// Sets the schema of a property, which keeps its description.
fn set_property(schema: &mut Schema, name: &str, mut property: Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    if let Some(description) = properties.get(name).and_then(|known| known.get("description")) {
        property["description"] = description.clone();
    }
    properties.insert(name.to_owned(), property);
}
