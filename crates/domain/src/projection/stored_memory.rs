//! The stored form of a projection's memory: it names the kind of each entry, which the form for clients does not.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::memory::{MAX_MEMORY, MemoryDetails, MemoryEntry};
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

/// [`MemoryDetails`], with their names.
#[derive(Serialize, Deserialize)]
#[serde(remote = "MemoryDetails")]
enum StoredDetails {
    Message {
        text: String,
        thread_id: Option<String>,
        mentions: Vec<ActorId>,
    },
    Order {
        item_id: Option<String>,
        size: Option<String>,
    },
    Move {
        direction: Option<String>,
        steps: i64,
    },
    Intent {
        intent: Option<String>,
        outcome: Option<String>,
    },
    Override {
        action: Option<String>,
        target_actor_id: Option<ActorId>,
        reason: Option<String>,
    },
    Task {
        task_id: Option<String>,
        state: Option<String>,
        progress: i64,
    },
    TaskAssignment {
        task_id: Option<String>,
        from_assignee_actor_id: Option<ActorId>,
        to_assignee_actor_id: Option<ActorId>,
    },
    TaskProgress {
        task_id: Option<String>,
        from_progress: Option<i64>,
        to_progress: Option<i64>,
    },
    TaskCompletion {
        task_id: Option<String>,
        completed_by: Option<ActorId>,
    },
    Object {
        object_id: Option<String>,
        object_type: Option<String>,
        object_key: Option<String>,
        version: i64,
        changed_fields: Vec<String>,
    },
    Nothing {},
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
