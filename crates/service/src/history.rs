//! Looking back at a room: memory, replay and the collaboration score.

use agentcafe_domain::kernel::{ACTOR_FILTER, ActorId, Event, OperationError, RoomId, TenantId};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::projection::memory::{MAX_MEMORY, MemoryEntry, memory_entry, remembered_types};
use agentcafe_store::{EventFilter, EventQuery};
use schemars::JsonSchema;
use serde::Serialize;

use crate::newest_events::NewestEvents;
use crate::operation::{Call, Operation, parameters};
use crate::read_access;

mod replay;
mod score;

pub use replay::{Replay, ReplayRoom};
pub use score::{CollaborationScore, ReadScore};

/// How many of the room's newest events are scanned.
const SCANNED: u32 = 10_000;

parameters! {
    /// Reads what an agent should remember of a room.
    ReadMemory(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: RoomId = fields.room_or_main()?,
        actor: Option<ActorId> = fields.actor(ACTOR_FILTER)?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        limit: usize = fields.limit(MAX_MEMORY, MAX_MEMORY)?,
    }
}

/// What is remembered, newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LocalMemory")]
pub struct Memory {
    tenant_id: TenantId,
    room_id: RoomId,
    actor_id: Option<ActorId>,
    /// The entries, newest first.
    memory: Vec<MemoryEntry>,
    /// The number of entries in this answer.
    count: usize,
}

impl Operation for ReadMemory {
    type Output = Memory;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<Memory, OperationError> {
        let Self { tenant: tenant_id, room: room_id, actor: actor_id, viewer, limit } = self;
        call.service.may_read(&tenant_id, &room_id, viewer.as_ref()).await?;
        let (actor, types) = (actor_id.clone(), Some(remembered_types()));
        let query = EventQuery::newest(EventFilter { actor, types, ..EventFilter::default() }, limit);
        let query = EventQuery { max_bytes: usize::MAX, ..query };
        let place = (&tenant_id, &room_id);
        let mut newest = NewestEvents::begin(call.service.store(), place, SCANNED, query).await?;
        let mut memory = Vec::new();
        while let Some(page) = newest.page().await? {
            let events = page.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok());
            memory.extend(events.filter_map(|event| memory_entry(&event)));
        }
        Ok(Memory { tenant_id, room_id, actor_id, count: memory.len(), memory })
    }
}
