//! Compares payloads with their golden files: what once went into the log must stay readable, to the letter, for ever.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kernel::event::{Annotation, Event, EventHeader, Payload, StoredEvent};

const NEVER: &str = "A stored shape must not change, and a released golden file is never edited: logs are full of events of \
    this shape. Put what the code does back, and add a new field as an optional one (`skip_serializing_if`), with a golden \
    file of its own named <type>.<variant>.json";
/// The member that a reaction adds to the payloads of its events.
const ANNOTATION: &str = "reaction";

/// Reads each golden file of a type, and writes it again: nothing may be lost, added or changed.
pub(crate) fn check<P: Payload + DeserializeOwned>() {
    let (kind, folder) = (P::TYPE.as_str(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    assert!(
        Path::new(folder).join(format!("{kind}.json")).exists(),
        "{kind} has no golden file: write crates/domain/tests/golden/{kind}.json, an event of this type as GET /v1/events \
         shows it, and a file named {kind}.<variant>.json for each other way its optional fields can be"
    );
    for file in fs::read_dir(folder).expect("the golden files are readable") {
        let path = file.expect("the golden files are readable").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a golden file has a name");
        if name.split('.').next() == Some(kind) {
            let text = fs::read_to_string(&path).expect("the golden files are readable");
            check_file::<P>(&text).unwrap_or_else(|error| panic!("{name} cannot be read: {error}. {NEVER}"));
        }
    }
}

fn check_file<P: Payload + DeserializeOwned>(text: &str) -> serde_json::Result<()> {
    let (golden, event): (Value, Event) = (serde_json::from_str(text)?, serde_json::from_str(text)?);
    let mut members = event.payload.clone();
    let annotation = members.remove(ANNOTATION).map(|value| Annotation::new(ANNOTATION, &value));
    let payload: P = serde_json::from_value(Value::Object(members))?;
    let header = EventHeader {
        sequence: event.sequence,
        event_id: event.event_id,
        tenant: &event.tenant_id,
        room: &event.room_id,
        actor: &event.actor_id,
        at: event.timestamp,
        correlation: event.correlation_id.as_ref().expect("a golden event has a correlation id"),
        cause: event.causation_id.as_deref(),
        by: event.by.as_ref(),
    };
    let stored = StoredEvent::render(&header, &payload, annotation.as_ref());
    let written: Value = serde_json::from_slice(&stored.json)?;
    assert_eq!(written, golden, "{} is stored otherwise than before. {NEVER}", P::TYPE.as_str());
    assert_eq!(StoredEvent::restore(stored.json.clone())?, stored, "a column changes when the event is read");
    Ok(())
}
