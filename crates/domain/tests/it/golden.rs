//! Holds every event type to its golden files: what once went into the log must stay readable, to the letter, for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use agentcafe_domain::kernel::{
    Annotation, Command, CommandContext, CommandError, CorrelationId, Event, EventType, Payload, Query,
    Reply, Sequence, StoredEvent, Success, Timestamp,
};
use agentcafe_domain::orders::OrderChanged;
use agentcafe_domain::reactions::{ANNOTATION, ReactionRef};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::harness::{CountingIds, Harness, actor};

mod examples;

const NEVER: &str = "A stored shape must not change, and a golden file is never edited: logs are full of events of this \
    shape. Put what the code does back, and add a new field as an optional one (`skip_serializing_if`), with a golden \
    file of its own named <type>.<variant>.json.";

/// Appends one event with this payload.
struct Append<'a, P> {
    payload: &'a P,
    cause: Option<&'static str>,
    annotation: Option<Annotation>,
}

impl<P: Payload + Sync + Send> Command for Append<'_, P> {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        ctx.effects.annotation.clone_from(&self.annotation);
        ctx.append(&actor("Nova"), self.payload, self.cause)?;
        Ok(Reply::new(Success::Ok, &()))
    }
}

/// The 42nd event of a log, as it is stored.
fn append(command: &impl Command) -> StoredEvent {
    let mut harness = Harness::new();
    harness.now = Timestamp::parse("2026-01-02T03:04:05.678Z").unwrap();
    harness.heads.sequence = Sequence(41);
    harness.ids = CountingIds(0x0199_0000_0000_7000_8000_0000_0000_0041);
    harness.correlation_id = CorrelationId::parse("01990000-0000-7000-8000-00000000000c").unwrap();
    harness.attempt(command).unwrap();
    harness.stored.remove(0)
}

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
    fn of<P: Payload + DeserializeOwned + Sync + Send>(variant: &str, payload: &P) -> Self {
        Self::annotated(variant, payload, None)
    }

    /// The example of an event that a reaction made.
    fn of_reaction<P: Payload + DeserializeOwned + Sync + Send>(payload: &P) -> Self {
        Self::annotated(ANNOTATION, payload, Some(Annotation::new(ANNOTATION, &examples::reaction())))
    }

    fn annotated<P: Payload + DeserializeOwned + Sync + Send>(
        variant: &str,
        payload: &P,
        annotation: Option<Annotation>,
    ) -> Self {
        let cause = (!variant.is_empty()).then_some("01990000-0000-7000-8000-000000000041");
        let stored = append(&Append { payload, cause, annotation });
        let restored = StoredEvent::restore(stored.json.clone()).unwrap();
        assert_eq!(restored, stored, "an event that is read back is the same, in every column");
        let dot = if variant.is_empty() { "" } else { "." };
        Self {
            name: format!("{}{dot}{variant}", P::TYPE.as_str()),
            kind: P::TYPE,
            rendered: serde_json::from_slice(&stored.json).unwrap(),
            rewritten: rewrite::<P>,
        }
    }

    /// The event of its golden file.
    fn golden(&self) -> Value {
        let name = &self.name;
        let Ok(text) = fs::read_to_string(folder().join(format!("{name}.json"))) else {
            let event: Event = serde_json::from_value(self.rendered.clone()).unwrap();
            let text = serde_json::to_string_pretty(&event).unwrap();
            panic!(
                "{name} has no golden file. Write this to crates/domain/tests/golden/{name}.json:\n{text}"
            );
        };
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}. {NEVER}"))
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

/// Every example is stored exactly as its golden file says.
#[test]
fn events_are_stored_as_their_golden_files_say() {
    for example in examples::all() {
        let name = &example.name;
        assert_eq!(example.rendered, example.golden(), "{name} is stored otherwise than before. {NEVER}");
    }
}

/// What a golden file holds can be read, and means the same when it is written again.
#[test]
fn golden_files_are_read_without_loss() {
    for example in examples::all() {
        let (name, golden) = (&example.name, example.golden());
        let event: Event = serde_json::from_value(golden.clone())
            .unwrap_or_else(|error| panic!("{name} is no event: {error}. {NEVER}"));
        assert_eq!(event.kind, example.kind, "{name}");
        assert_eq!(serde_json::to_value(&event).unwrap(), golden, "{name}");
        let payload = Value::Object(event.payload);
        let rewritten = (example.rewritten)(payload.clone())
            .unwrap_or_else(|error| panic!("{name} can no longer be read: {error}. {NEVER}"));
        assert_eq!(rewritten, payload, "{name} loses something when it is read. {NEVER}");
    }
}

/// The annotation stands behind the payload's own members, in the order in which it was written.
#[test]
fn an_annotation_is_the_last_member_of_a_payload() {
    let order = OrderChanged { item_id: "tea".to_owned(), size: "large".to_owned() };
    let annotation = Some(Annotation::new(ANNOTATION, &examples::reaction()));
    let stored = append(&Append { payload: &order, cause: None, annotation });
    let json = std::str::from_utf8(&stored.json).unwrap();
    let want = r#""payload":{"itemId":"tea","size":"large","reaction":{"sourceSubscriptionId":"01990000-0000-7000-8000-0000000000b0","sourceEventId":"01990000-0000-7000-8000-0000000000b1","hops":1}},"correlationId""#;
    assert!(json.contains(want), "{json}");
}

/// Each type has an example under its own name, and no golden file is left without one.
#[test]
fn every_type_has_a_golden_file() {
    let examples: BTreeSet<String> = examples::all().into_iter().map(|example| example.name).collect();
    for kind in EventType::ALL.iter().map(|kind| kind.as_str()) {
        assert!(
            examples.contains(kind),
            "{kind} needs an example in crates/domain/tests/it/golden/examples.rs"
        );
    }
    for file in fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let example = name.strip_suffix(".json").unwrap();
        assert!(examples.contains(example), "{name} has no example any more. {NEVER}");
    }
}
