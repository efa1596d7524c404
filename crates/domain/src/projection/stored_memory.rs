//! The stored form of a projection's memory: it names the kind of each entry, which the form for clients does not.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::memory::{MAX_MEMORY, MemoryDetails, MemoryEntry, StoredDetails};
use super::recent::NewestFirst;
use crate::kernel::{ActorId, EventType, Sequence, Timestamp};

type Memory = NewestFirst<MemoryEntry, MAX_MEMORY>;

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    event_id: Uuid,
    sequence: Sequence,
    kind: EventType,
    actor_id: ActorId,
    ts: Timestamp,
    #[serde(with = "StoredDetails")]
    details: MemoryDetails,
}

pub(super) fn serialize<S: Serializer>(memory: &Memory, serializer: S) -> Result<S::Ok, S::Error> {
    let kept = memory.to_vec().into_iter().map(|entry| {
        let MemoryEntry { event_id, sequence, kind, actor_id, ts, details } = entry;
        StoredEntry { event_id, sequence, kind, actor_id, ts, details }
    });
    serializer.collect_seq(kept)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Memory, D::Error> {
    let kept = Vec::<StoredEntry>::deserialize(deserializer)?;
    let mut memory = Memory::default();
    for StoredEntry { event_id, sequence, kind, actor_id, ts, details } in kept.into_iter().rev() {
        memory.prepend(MemoryEntry { event_id, sequence, kind, actor_id, ts, details });
    }
    Ok(memory)
}
