//! Holds every event type to its golden files: what once went into the log must stay readable, to the letter, for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kernel::{
    ActorId, Annotation, Event, EventHeader, EventType, Payload, RoomId, Sequence, StoredEvent, TenantId,
    Timestamp,
};
use crate::reactions::{ANNOTATION, ReactionRef};

mod examples;

const NEVER: &str = "A stored shape must not change, and a golden file is never edited: logs are full of events of this \
    shape. Put what the code does back, and add a new field as an optional one (`skip_serializing_if`), with a golden \
    file of its own named <type>.<variant>.json.";

/// An example of an event: what the log would keep, and what reading it back and writing it again gives.
struct Example {
    /// The golden file's name without `.json`.
    name: String,
    kind: EventType,
    rendered: Value,
    rewritten: fn(Value) -> serde_json::Result<Value>,
}

impl Example {
    /// Renders the payload as the log does. Without a `variant` it is the type's first example.
    fn of<P: Payload + DeserializeOwned>(variant: &str, payload: &P) -> Self {
        Self::annotated(variant, payload, None)
    }

    /// The example of an event that a reaction made.
    fn of_reaction<P: Payload + DeserializeOwned>(payload: &P) -> Self {
        Self::annotated(ANNOTATION, payload, Some(&Annotation::new(ANNOTATION, &examples::reaction())))
    }

    fn annotated<P: Payload + DeserializeOwned>(
        variant: &str,
        payload: &P,
        annotation: Option<&Annotation>,
    ) -> Self {
        let id = |text: &str| uuid::Uuid::parse_str(text).unwrap();
        let stored = StoredEvent::render(
            &EventHeader {
                sequence: Sequence(42),
                event_id: id("01990000-0000-7000-8000-000000000042"),
                tenant: &TenantId::default(),
                room: &RoomId::main(),
                actor: &ActorId::parse("Nova").unwrap(),
                at: Timestamp::parse("2026-01-02T03:04:05.678Z").unwrap(),
                correlation: &id("01990000-0000-7000-8000-00000000000c").into(),
                cause: (!variant.is_empty()).then_some("01990000-0000-7000-8000-000000000041"),
            },
            payload,
            annotation,
        );
        let restored = StoredEvent::restore(stored.json.clone()).unwrap();
        assert_eq!(restored, stored, "an event that is read back is the same, in every column. {NEVER}");
        let dot = if variant.is_empty() { "" } else { "." };
        Self {
            name: format!("{}{dot}{variant}", P::TYPE.as_str()),
            kind: P::TYPE,
            rendered: serde_json::from_slice(&stored.json).unwrap(),
            rewritten: rewrite::<P>,
        }
    }

    fn path(&self) -> PathBuf {
        folder().join(format!("{}.json", self.name))
    }
}

/// Reads a payload, and the annotation of a reaction if it has one, and writes both again.
fn rewrite<P: Payload + DeserializeOwned>(mut payload: Value) -> serde_json::Result<Value> {
    let annotation = payload.as_object_mut().and_then(|members| members.remove(ANNOTATION));
    let mut rewritten = serde_json::to_value(serde_json::from_value::<P>(payload)?)?;
    if let Some(annotation) = annotation {
        rewritten[ANNOTATION] = serde_json::to_value(serde_json::from_value::<ReactionRef>(annotation)?)?;
    }
    Ok(rewritten)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// The file's text for an event: the envelope's fields in their order.
fn pretty(rendered: &Value) -> String {
    let event: Event = serde_json::from_value(rendered.clone()).unwrap();
    serde_json::to_string_pretty(&event).unwrap()
}

/// Every example is stored exactly as its golden file says.
#[test]
fn events_are_stored_as_their_golden_files_say() {
    for example in examples::all() {
        let name = &example.name;
        let Ok(text) = fs::read_to_string(example.path()) else {
            panic!(
                "{name} has no golden file; tests/golden/{name}.json would be\n{}",
                pretty(&example.rendered)
            );
        };
        let golden: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(example.rendered, golden, "{name} is stored otherwise than before. {NEVER}");
    }
}

/// What a golden file holds can be read, and means the same when it is written again.
#[test]
fn golden_files_are_read_without_loss() {
    for example in examples::all() {
        let name = &example.name;
        let text = fs::read_to_string(example.path()).unwrap_or_default();
        let event: Event =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}. {NEVER}"));
        assert_eq!(event.kind, example.kind, "{name}");
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            serde_json::from_str::<Value>(&text).unwrap(),
            "{name}"
        );
        let payload = Value::Object(event.payload);
        let rewritten = (example.rewritten)(payload.clone())
            .unwrap_or_else(|error| panic!("{name} can no longer be read: {error}. {NEVER}"));
        assert_eq!(rewritten, payload, "{name} loses something when it is read. {NEVER}");
    }
}

/// The annotation stands behind the payload's own members, in the order in which it was written.
#[test]
fn an_annotation_is_the_last_member_of_a_payload() {
    let order = crate::orders::OrderChanged { item_id: "tea".to_owned(), size: "large".to_owned() };
    let header = EventHeader {
        sequence: Sequence(1),
        event_id: uuid::Uuid::nil(),
        tenant: &TenantId::default(),
        room: &RoomId::main(),
        actor: &ActorId::system(),
        at: Timestamp::default(),
        correlation: &uuid::Uuid::nil().into(),
        cause: None,
    };
    let annotation = Annotation::new(ANNOTATION, &examples::reaction());
    let stored = StoredEvent::render(&header, &order, Some(&annotation));
    let json = std::str::from_utf8(&stored.json).unwrap();
    let want = r#""payload":{"itemId":"tea","size":"large","reaction":{"sourceSubscriptionId":"01990000-0000-7000-8000-0000000000b0","sourceEventId":"01990000-0000-7000-8000-0000000000b1","hops":1}},"correlationId""#;
    assert!(json.contains(want), "{json}");
}

/// Each type has an example under its own name, and no golden file is left without one.
#[test]
fn every_type_has_a_golden_file() {
    let examples: BTreeSet<String> = examples::all().into_iter().map(|example| example.name).collect();
    for kind in EventType::ALL {
        assert!(examples.contains(kind.as_str()), "{} needs an example and a golden file", kind.as_str());
    }
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> =
        files.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    let unmatched: Vec<&String> = files.symmetric_difference(&examples).collect();
    assert!(unmatched.is_empty(), "only a golden file, or only an example: {unmatched:?}. {NEVER}");
}
