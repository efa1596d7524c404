//! An event as `tail` reads it: of any type, also one that this binary does not know yet.

use agentcafe_domain::kernel::event::EventType;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The types that show only that somebody is there.
const PRESENCE: [EventType; 2] = [EventType::StatusChanged, EventType::PresenceHeartbeat];

/// One thing that happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    /// The tenant it happened in.
    pub(super) tenant_id: String,
    /// The room it happened in.
    pub(super) room_id: String,
    /// Who did it.
    pub(super) actor_id: String,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// When, in RFC 3339 and UTC.
    pub(super) timestamp: String,
    /// What it says, by type.
    pub(super) payload: Map<String, Value>,
}

impl Event {
    /// The payload as its type has it; none if it does not look like that.
    pub(super) fn read<P: DeserializeOwned>(&self) -> Option<P> {
        P::deserialize(Value::Object(self.payload.clone())).ok()
    }

    /// Whether it is shown without `--all`.
    pub(super) fn is_telling(&self) -> bool {
        !PRESENCE.iter().any(|kind| kind.as_str() == self.kind)
    }
}

/// The names of the types that are shown without `--all`.
pub(super) fn telling_types() -> impl Iterator<Item = &'static str> {
    EventType::ALL.iter().filter(|kind| !PRESENCE.contains(kind)).map(|kind| kind.as_str())
}
