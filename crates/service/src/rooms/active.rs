//! The rooms in which anything happened, with or without a record: who is there, and what waits there.

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{
    ActorId, Cell, DomainError, Field, Fields, IdPatterns, Key, OperationError, PAGE_CURSOR, RoomId,
    Sequence, TenantId, Timestamp,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::rooms::Room;
use agentcafe_store::MAX_ACTIVE_ROOMS;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::Call;
use crate::read_access::{self, OfRoom};

const READER_ACTOR_ID: Field =
    Field::new("actorId", "With scope=active: the actor whose unread items are counted.", "Nova").of_caller();

const LIMIT: usize = 50;

/// A room in which something happened.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRoom {
    #[serde(flatten)]
    room: Room,
    /// When something happened there last.
    last_event_at: Timestamp,
    /// The sequence of that event.
    last_sequence: Sequence,
    /// How many actors are present, up to 1,000.
    present_count: u64,
    /// How many tasks are open or active, up to 1,000.
    open_task_count: u64,
    /// How many items of the actor's inbox are from there and not acknowledged; null without an actor.
    unread_count: Option<u64>,
}

impl OfRoom for ActiveRoom {
    fn room(&self) -> (&TenantId, &RoomId) {
        (&self.room.tenant_id, &self.room.room_id)
    }
}

/// Active rooms, those with the newest events first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRoomList {
    /// The page. It may have fewer rooms than `limit`, or none, although more follow.
    pub(super) rooms: Vec<ActiveRoom>,
    /// How many rooms the page holds.
    count: usize,
    /// The cursor of the next page; null when there are no more rooms.
    next_cursor: Option<String>,
}

/// Who reads active rooms.
pub(super) struct RoomReader {
    /// Whose unread items are counted.
    pub(super) actor: Option<ActorId>,
    /// Whose access to private tables counts.
    pub(super) viewer: Option<ActorId>,
}

impl RoomReader {
    pub(super) fn read(fields: &Fields) -> Result<Self, DomainError> {
        let actor = fields.actor(READER_ACTOR_ID)?;
        Ok(Self { viewer: read_access::viewer(fields)?.or_else(|| actor.clone()), actor })
    }
}

/// Which part of the list is read.
pub(super) struct ActiveRoomPage {
    before: Option<Sequence>,
    limit: usize,
}

impl ActiveRoomPage {
    /// The first rooms.
    pub(super) fn first(limit: usize) -> Self {
        Self { before: None, limit }
    }

    pub(super) fn read(fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self { before: fields.sequence(PAGE_CURSOR)?, limit: fields.limit(LIMIT, MAX_ACTIVE_ROOMS)? })
    }
}

/// The active rooms that the caller's key reaches. Private tables that the viewer may not read are left out.
pub(super) async fn list(
    call: &Call<'_>,
    tenant: &TenantId,
    reader: &RoomReader,
    page: ActiveRoomPage,
) -> Result<ActiveRoomList, OperationError> {
    let (service, principal) = (call.service, &call.caller.principal);
    let ids = principal.binding().map_or_else(IdPatterns::any, |binding| binding.rooms.clone());
    let found = service.store().active_rooms(tenant.clone(), ids, page.before, page.limit).await?;
    let keys = |actor: Option<&ActorId>| -> Vec<Key> {
        let key =
            |room: &RoomId| [tenant.into(), room.into()].into_iter().chain(actor.map(Cell::from)).collect();
        found.rooms.iter().map(|active| key(&active.room_id)).collect()
    };
    let records: Vec<Option<Room>> = service.store().get_all(keys(None)).await?;
    let actor = reader.actor.as_ref().filter(|_| principal.check(&[Scope::Inbox]).is_ok());
    let unread: Vec<Option<UnreadCount>> = match actor {
        Some(actor) => service.store().get_all(keys(Some(actor))).await?,
        None => Vec::new(),
    };
    let mut unread = unread.into_iter().map(|count| count.map_or(0, |count| count.unread));
    let mut rooms: Vec<ActiveRoom> = std::iter::zip(&found.rooms, records)
        .map(|(active, record)| ActiveRoom {
            room: record.unwrap_or_else(|| Room::without_record(tenant.clone(), active.room_id.clone())),
            last_event_at: active.last_event_at,
            last_sequence: active.last_sequence,
            present_count: active.present,
            open_task_count: active.open_tasks,
            unread_count: unread.next(),
        })
        .collect();
    service.retain_readable(&mut rooms, reader.viewer.as_ref()).await?;
    let next_cursor = found.next_before.map(|before| before.0.to_string());
    Ok(ActiveRoomList { count: rooms.len(), rooms, next_cursor })
}
