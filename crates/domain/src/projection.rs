//! The state of a room after its events: the one read model behind replay, the projector and the realtime service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::{Event, RoomId, TenantId, Timestamp};

pub mod actors;
pub mod conversations;
pub mod effects;
pub mod memory;
pub mod objects;
pub mod orders;
mod payload_view;
pub mod pinned;
mod recent;
mod stored_memory;
pub mod tasks;
pub mod themed;

use actors::{ActorEntry, Actors, CompactActor};
use conversations::{ChatEntry, Conversations, MessageEntry, ThreadEntry};
use effects::{EventEffects, RoomPart};
use memory::{MAX_MEMORY, MemoryEntry, memory_entry};
use objects::{ObjectEntry, Objects};
use orders::{OrderEntry, Orders};
use pinned::PinnedEntry;
use recent::NewestFirst;
use tasks::{TaskEntry, Tasks};

/// The version of the projection: increased when the same events give another room, or when its stored form changes.
pub const PROJECTION_VERSION: u32 = 1;

/// A room, projected event by event, in the order of the log. The same events give the same room, byte for byte;
/// every list in it is bounded, so it stops growing however long the log is. Serialised, it can be stored and restored
/// by the same version ([`PROJECTION_VERSION`]), as if it had never stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomProjection {
    tenant_id: TenantId,
    room_id: RoomId,
    actors: Actors,
    conversations: Conversations,
    orders: Orders,
    tasks: Tasks,
    objects: Objects,
    pinned_context: Option<PinnedEntry>,
    #[serde(with = "stored_memory")]
    memory: NewestFirst<MemoryEntry, MAX_MEMORY>,
    last_event: Option<(Timestamp, Uuid)>,
}

/// A room, whole. Its actors, chat and messages are the entries as they are, or with themes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RoomSnapshot")]
pub struct RoomSnapshot<A = ActorEntry, C = ChatEntry, M = MessageEntry> {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actors in it, in the order in which they appeared.
    pub actors: Vec<A>,
    /// The context that is pinned to it.
    pub pinned_context: Option<PinnedEntry>,
    /// What was said, newest first.
    pub chat: Vec<C>,
    /// What an agent remembers, newest first.
    pub local_memory: Vec<MemoryEntry>,
    /// The messages, newest first.
    pub messages: Vec<M>,
    /// The threads, newest message first.
    pub threads: Vec<ThreadEntry>,
    /// The tasks, newest change first.
    pub tasks: Vec<TaskEntry>,
    /// The shared objects, newest change first.
    pub shared_objects: Vec<ObjectEntry>,
    /// The orders, newest first.
    pub orders: Vec<OrderEntry>,
    /// When the last event happened.
    pub last_event_at: Option<Timestamp>,
    /// The last event.
    pub last_event_id: Option<Uuid>,
}

/// A room as the projector keeps it under `:state:snapshot`; chat and orders have keys of their own.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompactRoom {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The last event.
    pub last_event_id: Option<Uuid>,
    /// When the last event happened.
    pub last_event_at: Option<Timestamp>,
    /// The actors in it, in the order in which they appeared.
    pub actors: Vec<CompactActor>,
    /// The context that is pinned to it.
    pub pinned_context: Option<PinnedEntry>,
    /// The threads, newest message first.
    pub threads: Vec<ThreadEntry>,
    /// The tasks, newest change first.
    pub tasks: Vec<TaskEntry>,
    /// The shared objects, newest change first.
    pub shared_objects: Vec<ObjectEntry>,
    /// What an agent remembers, newest first.
    pub local_memory: Vec<MemoryEntry>,
}

/// A room in numbers, as the projector keeps it under `:state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomState {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The last event.
    pub last_event_id: Option<Uuid>,
    /// When the last event happened.
    pub last_event_at: Option<Timestamp>,
    /// How many actors it shows.
    pub actor_count: usize,
    /// How many threads it shows.
    pub thread_count: usize,
    /// How many tasks it shows.
    pub task_count: usize,
    /// How many shared objects it shows.
    pub object_count: usize,
}

impl RoomProjection {
    /// A room in which nothing happened.
    pub fn new(tenant_id: TenantId, room_id: RoomId) -> Self {
        Self {
            tenant_id,
            room_id,
            actors: Actors::default(),
            conversations: Conversations::default(),
            orders: Orders::default(),
            tasks: Tasks::default(),
            objects: Objects::default(),
            pinned_context: None,
            memory: NewestFirst::default(),
            last_event: None,
        }
    }

    /// Applies the next event. Members that are missing or malformed have documented fallbacks;
    /// events of other rooms are ignored.
    pub fn apply(&mut self, event: &Event) {
        if event.tenant_id != self.tenant_id || event.room_id != self.room_id {
            return;
        }
        self.actors.apply(event);
        match EventEffects::of(event.kind).part {
            Some(RoomPart::Conversations) => self.conversations.apply(event),
            Some(RoomPart::Orders) => self.orders.prepend(OrderEntry::of(event)),
            Some(RoomPart::Tasks(change)) => tasks::apply(&mut self.tasks, event, change),
            Some(RoomPart::Objects) => objects::apply(&mut self.objects, event),
            Some(RoomPart::PinnedContext) => self.pinned_context = Some(PinnedEntry::of(event)),
            None => {}
        }
        if let Some(entry) = memory_entry(event) {
            self.memory.prepend(entry);
        }
        self.last_event = Some((event.timestamp, event.event_id));
    }

    /// The room as it is now.
    pub fn snapshot(&self) -> RoomSnapshot {
        RoomSnapshot {
            tenant_id: self.tenant_id.clone(),
            room_id: self.room_id.clone(),
            actors: self.actors.in_order().into_iter().cloned().collect(),
            pinned_context: self.pinned_context.clone(),
            chat: self.chat(),
            local_memory: self.memory.to_vec(),
            messages: self.conversations.messages.to_vec(),
            threads: self.conversations.threads.to_vec(),
            tasks: self.tasks.to_vec(),
            shared_objects: self.objects.to_vec(),
            orders: self.orders(),
            last_event_at: self.last_event.map(|(at, _)| at),
            last_event_id: self.last_event.map(|(_, id)| id),
        }
    }

    /// The room as the projector keeps it.
    pub fn compact(&self) -> CompactRoom {
        CompactRoom {
            tenant_id: self.tenant_id.clone(),
            room_id: self.room_id.clone(),
            last_event_id: self.last_event.map(|(_, id)| id),
            last_event_at: self.last_event.map(|(at, _)| at),
            actors: self.actors.in_order().into_iter().map(ActorEntry::compact).collect(),
            pinned_context: self.pinned_context.clone(),
            threads: self.conversations.threads.to_vec(),
            tasks: self.tasks.to_vec(),
            shared_objects: self.objects.to_vec(),
            local_memory: self.memory.to_vec(),
        }
    }

    /// The room in numbers.
    pub fn state(&self) -> RoomState {
        RoomState {
            tenant_id: self.tenant_id.clone(),
            room_id: self.room_id.clone(),
            last_event_id: self.last_event.map(|(_, id)| id),
            last_event_at: self.last_event.map(|(at, _)| at),
            actor_count: self.actors.len(),
            thread_count: self.conversations.threads.len(),
            task_count: self.tasks.len(),
            object_count: self.objects.len(),
        }
    }

    /// The actors that count as there, in the order in which they appeared.
    pub fn active_actors(&self) -> Vec<CompactActor> {
        let active = self.actors.in_order().into_iter().filter(|actor| actor.is_active());
        active.map(ActorEntry::compact).collect()
    }

    /// What was said, newest first.
    pub fn chat(&self) -> Vec<ChatEntry> {
        self.conversations.chat.to_vec()
    }

    /// The orders, newest first.
    pub fn orders(&self) -> Vec<OrderEntry> {
        self.orders.to_vec()
    }
}
