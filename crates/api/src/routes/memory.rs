//! `GET /v1/memory/local`: what an agent should remember of a room.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        event::Event,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
    },
    projection::memory::{MAX_MEMORY, MemoryEntry, REMEMBERED, memory_entry},
};
use agentcafe_store::EventFilter;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    error::ApiError,
    input::ReadRequest,
    newest::{Newest, Wanted},
    read_access,
};

/// How many of the room's newest events are looked at.
const LOOK_BACK: u32 = 10_000;

/// What is asked to be remembered.
pub(crate) struct MemoryQuery {
    tenant: TenantId,
    room: RoomId,
    actor: Option<ActorId>,
    viewer: Option<ActorId>,
    limit: usize,
}

impl MemoryQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?.unwrap_or_else(RoomId::main),
            actor: query.actor("actorId")?,
            viewer: read_access::viewer(query)?,
            limit: query.limit(MAX_MEMORY, MAX_MEMORY)?,
        })
    }

    fn wanted(&self) -> Wanted {
        let types = Some(REMEMBERED.to_vec());
        Wanted {
            tenant: self.tenant.clone(),
            room: self.room.clone(),
            filter: EventFilter { actor: self.actor.clone(), types, ..EventFilter::default() },
            from: None,
            to: None,
            limit: self.limit,
            max_bytes: usize::MAX,
            look_back: LOOK_BACK,
        }
    }
}

/// What is remembered, newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    tenant_id: TenantId,
    room_id: RoomId,
    actor_id: Option<ActorId>,
    memory: Vec<MemoryEntry>,
    count: usize,
}

pub(crate) async fn local(request: ReadRequest) -> Result<Response, ApiError> {
    let remembered = MemoryQuery::read(&request.query)?;
    let engine = &request.app.engine;
    read_access::may_read(engine, &remembered.tenant, &remembered.room, remembered.viewer.as_ref()).await?;
    let mut newest = Newest::begin(&engine.store, remembered.wanted()).await?;
    let mut memory = Vec::new();
    while let Some(page) = newest.page().await? {
        let events = page.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok());
        memory.extend(events.filter_map(|event| memory_entry(&event)));
    }
    let MemoryQuery { tenant: tenant_id, room: room_id, actor: actor_id, .. } = remembered;
    Ok(answer::found(&Memory { tenant_id, room_id, actor_id, count: memory.len(), memory }))
}
