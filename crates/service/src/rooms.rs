//! Rooms: their records, those in which anything happened, what is pinned in them, and an agent's first look at one.

use agentcafe_domain::kernel::{
    Code, DomainError, Field, Fields, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, Sequence,
    TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::rooms::upsert::{UpsertRoom, UpsertRoomResponse};
use agentcafe_domain::rooms::{Room, RoomType};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, ids, parameters};
use crate::paging::{LIMITS, PageSelector, newest_by, record_list};

mod active;
mod bootstrap;
pub(crate) mod claim;
mod pin;

pub use active::{ActiveRoom, ActiveRoomList};
pub use bootstrap::{ActorView, Bootstrap, ReadBootstrap, RoomView};
pub use pin::{ListPinned, PinHistory, PinnedInRoom, ReadPinned};

use active::{ActiveRoomPage, RoomReader};

const OWNER_ACTOR_ID: Field = Field::new("ownerActorId", "Only rooms of this owner.", "Nova");
const SCOPE: Field = Field::new(
    "scope",
    "active: every room in which anything happened, those with the newest events first. Default: recorded, the rooms that have a record.",
    "active",
);
const ROOM_TYPE: Field = Field::new("roomType", "Only rooms of this type.", "lobby");

parameters! {
    /// Lists the rooms that have a record, the last changed first, or those in which anything happened; with a room, reads one.
    ListRooms(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        selector: RoomSelector = RoomSelector::read(fields, &tenant)?,
        reader: RoomReader = RoomReader::read(fields)?,
    }
}

/// Which rooms are read.
enum RoomSelector {
    One(RoomId),
    Recorded(RecordQuery),
    Active(ActiveRoomPage),
}

impl RoomSelector {
    fn read(fields: &Fields, tenant: &TenantId) -> Result<Self, DomainError> {
        let scopes = [("active", true), ("recorded", false)];
        if fields.text_choice(SCOPE, &scopes)?.unwrap_or(false) {
            let restricting = [ROOM_FILTER, ROOM_TYPE, OWNER_ACTOR_ID];
            if let Some(field) = restricting.into_iter().find(|field| fields.has(field.name)) {
                let message = format!("scope=active lists all active rooms: leave {} out", field.name);
                return Err(DomainError::invalid(field.name, message));
            }
            return ActiveRoomPage::read(fields).map(Self::Active);
        }
        let room = fields.room(ROOM_FILTER)?;
        let query = newest_by::<Room>("updated_at")
            .is("tenant_id", tenant)
            .is_if_given("room_type", fields.choice(ROOM_TYPE, &RoomType::NAMES)?.map(RoomType::as_str))
            .is_if_given("owner_actor_id", fields.actor(OWNER_ACTOR_ID)?.as_ref());
        let query = PageSelector::read::<Room>(fields, LIMITS)?.of(query);
        Ok(room.map_or(Self::Recorded(query), Self::One))
    }
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
    /// With `scope=active`.
    Active(ActiveRoomList),
    /// Otherwise.
    List(RoomList),
}

/// A room by its id as a caller wrote it: a text that is no id names no room. A room without a record is a lobby, if anything
/// happened there.
async fn one(call: &Call<'_>, tenant: &TenantId, id: &str) -> Result<OneRoom, OperationError> {
    let reached = RoomId::parse(id).ok().filter(|id| call.caller.principal.reaches(tenant, Some(id)));
    let room = match reached {
        Some(id) => match call.service.get::<Room>(vec![tenant.into(), (&id).into()]).await? {
            None if call.service.store().before_newest(tenant, &id, 0).await? > Sequence::START => {
                Some(Room::without_record(tenant.clone(), id))
            }
            record => record,
        },
        None => None,
    };
    let room = room.ok_or_else(|| {
        DomainError::new(Code::NotFound).with("tenantId", tenant.as_str()).with("roomId", id)
    })?;
    Ok(OneRoom { room })
}

impl Operation for ListRooms {
    type Output = RoomsAnswer;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<RoomsAnswer, OperationError> {
        Ok(match self.selector {
            RoomSelector::One(room) => RoomsAnswer::One(one(call, &self.tenant, room.as_str()).await?),
            RoomSelector::Recorded(query) => RoomsAnswer::List(call.service.page(query).await?.into()),
            RoomSelector::Active(page) => {
                RoomsAnswer::Active(active::list(call, &self.tenant, &self.reader, page).await?)
            }
        })
    }
}

parameters! {
    /// Reads one room.
    GetRoom(fields, input) {
        id: String = input.id.clone(),
        tenant: TenantId = fields.tenant_or_default()?,
    }
}

impl Operation for GetRoom {
    type Output = OneRoom;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<OneRoom, OperationError> {
        one(call, &self.tenant, &self.id).await
    }
}

/// Makes a room, or changes it.
pub struct PutRoom(UpsertRoom);

impl FromInput for PutRoom {
    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        UpsertRoom::read(&input.body).map(Self)
    }
}

impl Mutation for PutRoom {
    type Command = UpsertRoom;
    type Answer = UpsertRoomResponse;

    const SCOPES: &'static [Scope] = &[Scope::Host];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpsertRoom>, OperationError> {
        let Self(upsert) = self;
        claim::check(call, upsert.actor()).await?;
        let [tenant, room, _] = ids(upsert.actor());
        let scope = KeyScope::post(upsert.actor(), [tenant, "rooms", room, "upsert"]);
        Ok(Prepared { scope, command: upsert })
    }
}
