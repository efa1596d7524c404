//! Lists presences, the last changed first; with a room and an actor, reads one.

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules,
    SortKey, TenantId,
};
use agentcafe_domain::presence::Presence;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::read_access;

const ACTIVE: Field =
    Field::new("active", "true: only actors that are present; false: only those that are not.", "true");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists presences.
pub struct ListPresence {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    viewer: Option<ActorId>,
    active: Option<bool>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Presences, the last changed first.
    PresenceList { presence: Presence }
}

/// One presence.
#[derive(Serialize, JsonSchema)]
pub struct OnePresence {
    /// The presence of the actor.
    presence: Option<Presence>,
}

/// One presence, or a list.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PresenceAnswer {
    /// With a room and an actor.
    One(OnePresence),
    /// Otherwise.
    List(PresenceList),
}

impl Operation for ListPresence {
    type Output = PresenceAnswer;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            actor: fields.actor(ACTOR_FILTER)?,
            viewer: read_access::viewer(fields)?,
            active: fields.flag(ACTIVE)?,
            cursor: paging::cursor::<Presence>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<PresenceAnswer, OperationError> {
        let Self { tenant, room, actor, viewer, active, cursor, limit } = self;
        call.service.may_list(&tenant, room.as_ref(), viewer.as_ref()).await?;
        if let (Some(room), Some(actor)) = (&room, &actor) {
            let presence = call.service.get(vec![(&tenant).into(), room.into(), actor.into()]).await?;
            return Ok(PresenceAnswer::One(OnePresence { presence }));
        }
        let query = RecordQuery::all::<Presence>("updated_at", limit)
            .newest_first()
            .is("tenant_id", &tenant)
            .is_if_given("room_id", room.as_ref())
            .is_if_given("actor_id", actor.as_ref())
            .is_if_given("is_active", active)
            .behind(cursor);
        Ok(PresenceAnswer::List(call.service.page(query).await?.into()))
    }
}

/// The actors that are active in a room, the last changed first.
pub(crate) fn active_in(tenant: &TenantId, room: &RoomId, limit: usize) -> RecordQuery {
    RecordQuery::all::<Presence>("updated_at", limit)
        .newest_first()
        .is("tenant_id", tenant)
        .is("room_id", room)
        .is("is_active", true)
}
