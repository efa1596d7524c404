//! Golden files: each type of event has one, and the annotation of reactions is stored as they say. The payloads are compared
//! with them where they are declared (`payloads!`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use agentcafe_domain::event_schemas::AnyEvent;
use agentcafe_domain::kernel::{
    Annotation, Command, CommandContext, CommandError, Event, EventType, Query, Reply, Success,
};
use agentcafe_domain::orders::OrderChanged;
use agentcafe_domain::reactions::{ANNOTATION, ReactionRef};
use schemars::schema_for;
use serde_json::{Value, json};

use crate::harness::{Harness, actor};

/// Appends an order that a reaction made.
struct AppendOrder(ReactionRef);

impl Command for AppendOrder {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        ctx.effects.annotation = Some(Annotation::new(ANNOTATION, &self.0));
        let order = OrderChanged { item_id: "tea".to_owned(), size: "large".to_owned() };
        ctx.append(&actor("Nova"), &order, None)?;
        Ok(Reply::new(Success::Ok, &()))
    }
}

/// The golden files, by name without `.json`.
fn files() -> impl Iterator<Item = (String, PathBuf)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)
    })
}

/// The annotation stands behind the payload's own members, in the order in which it was written.
#[test]
fn annotation_is_the_last_member_of_a_payload() {
    let id = |last: u128| uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + last);
    let reaction = ReactionRef { source_subscription_id: id(0xb0), source_event_id: id(0xb1), hops: 1 };
    let mut harness = Harness::new();
    harness.attempt(&AppendOrder(reaction)).unwrap();
    let stored = harness.stored.remove(0);
    let json = std::str::from_utf8(&stored.json).unwrap();
    let want = r#""payload":{"itemId":"tea","size":"large","reaction":{"sourceSubscriptionId":"01990000-0000-7000-8000-0000000000b0","sourceEventId":"01990000-0000-7000-8000-0000000000b1","hops":1}},"correlationId""#;
    assert!(json.contains(want), "{json}");
}

#[test]
fn golden_annotations_are_read_without_loss() {
    let annotated: Vec<_> = files().filter(|(name, _)| name.ends_with(".reaction")).collect();
    assert_eq!(annotated.len(), 3, "{annotated:?}");
    for (name, path) in annotated {
        let event: Event = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let golden = &event.payload[ANNOTATION];
        let reaction: ReactionRef = serde_json::from_value(golden.clone()).unwrap();
        assert_eq!(&serde_json::to_value(reaction).unwrap(), golden, "{name}");
    }
}

/// Each type has a golden file under its own name, and no golden file is of another type.
#[test]
fn golden_files_are_of_every_type() {
    let names: BTreeSet<String> = files().map(|(name, _)| name).collect();
    for kind in EventType::ALL.iter().map(|kind| kind.as_str()) {
        assert!(names.contains(kind), "{kind} needs the golden file crates/domain/tests/golden/{kind}.json");
    }
    for name in names {
        assert!(EventType::parse(name.split('.').next().unwrap()).is_some(), "{name} is of an unknown type");
    }
}

/// Generated clients read events by the schema of their type.
#[test]
fn golden_files_validate_against_the_schema_of_their_type() {
    let schema = serde_json::to_value(schema_for!(AnyEvent)).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for (name, path) in files() {
        let mut event: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let faults: Vec<String> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:#?}");
        event["payload"] = json!({});
        assert!(!validator.is_valid(&event), "{name} without its members");
    }
}
