//! Reads one room, or lists the rooms that have a record, the last changed first.

use agentcafe_domain::kernel::{
    ActorId, Code, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, SortKey,
    TenantId,
};
use agentcafe_domain::rooms::{Room, RoomType};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::service::Service;

const OWNER_ACTOR_ID: Field = Field::new("ownerActorId", "Only rooms of this owner.", "Nova");
const ROOM_TYPE: Field = Field::new("roomType", "Only rooms of this type.", "lobby");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists rooms.
pub struct ListRooms {
    tenant: TenantId,
    room: Option<RoomId>,
    room_type: Option<RoomType>,
    owner: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

/// Reads one room.
pub struct GetRoom {
    id: String,
    tenant: TenantId,
}

record_list! {
    /// Rooms, the last changed first.
    RoomList { rooms: Room }
}

/// One room.
#[derive(Serialize, JsonSchema)]
pub struct OneRoom {
    /// What happens in the room.
    room: Room,
}

/// One room, or a list.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RoomsAnswer {
    /// With a room.
    One(OneRoom),
    /// Otherwise.
    List(RoomList),
}

/// A room by its id as a caller wrote it: a text that is no id names no room.
async fn one(service: &Service, tenant: &TenantId, id: &str) -> Result<OneRoom, OperationError> {
    let room: Option<Room> = match RoomId::parse(id) {
        Ok(id) => service.get(vec![tenant.into(), (&id).into()]).await?,
        Err(_) => None,
    };
    let room = room.ok_or_else(|| {
        DomainError::new(Code::NotFound).with("tenantId", tenant.as_str()).with("roomId", id)
    })?;
    Ok(OneRoom { room })
}

impl Operation for ListRooms {
    type Output = RoomsAnswer;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            room_type: fields.choice(ROOM_TYPE, &RoomType::NAMES)?,
            owner: fields.actor(OWNER_ACTOR_ID)?,
            cursor: paging::cursor::<Room>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<RoomsAnswer, OperationError> {
        let Self { tenant, room, room_type, owner, cursor, limit } = self;
        if let Some(room) = room {
            return Ok(RoomsAnswer::One(one(call.service, &tenant, room.as_str()).await?));
        }
        let query = RecordQuery::all::<Room>("updated_at", limit)
            .newest_first()
            .is("tenant_id", &tenant)
            .is_if_given("room_type", room_type.map(RoomType::as_str))
            .is_if_given("owner_actor_id", owner.as_ref())
            .behind(cursor);
        Ok(RoomsAnswer::List(call.service.page(query).await?.into()))
    }
}

impl Operation for GetRoom {
    type Output = OneRoom;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self { id: input.id.clone(), tenant: input.parameters.tenant_or_default()? })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneRoom, OperationError> {
        one(call.service, &self.tenant, &self.id).await
    }
}
