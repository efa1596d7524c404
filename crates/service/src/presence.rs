//! Presence: who is in a room, when actors were last seen, and heartbeats.

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::presence::{Heartbeat, HeartbeatResponse, Presence};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, KeyScope, Operation, ids, mutation, parameters};
use crate::paging::{LIMITS, PageSelector, newest_by, record_list};
use crate::read_access;

mod last_seen;

pub use last_seen::{LastSeen, LastSeenAnswer, ReadLastSeen};

const ACTIVE: Field =
    Field::new("active", "true: only actors that are present; false: only those that are not.", "true");

parameters! {
    /// Lists presences, the last changed first; with a room and an actor, reads one.
    ListPresence(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: Option<RoomId> = fields.room(ROOM_FILTER)?,
        actor: Option<ActorId> = fields.actor(ACTOR_FILTER)?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        query: RecordQuery = newest_by::<Presence>("updated_at")
            .is("tenant_id", &tenant)
            .is_if_given("room_id", room.as_ref())
            .is_if_given("actor_id", actor.as_ref())
            .is_if_given("is_active", fields.flag(ACTIVE)?),
        page: PageSelector = PageSelector::read::<Presence>(fields, LIMITS)?,
    }
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

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<PresenceAnswer, OperationError> {
        let Self { tenant, room, actor, viewer, query, page } = self;
        call.service.may_list(&tenant, room.as_ref(), viewer.as_ref()).await?;
        if let (Some(room), Some(actor)) = (&room, &actor) {
            let presence = call.service.get(vec![(&tenant).into(), room.into(), actor.into()]).await?;
            return Ok(PresenceAnswer::One(OnePresence { presence }));
        }
        Ok(PresenceAnswer::List(call.service.page(page.of(query)).await?.into()))
    }
}

/// The actors that are active in a room, the last changed first.
pub(crate) fn active_in(tenant: &TenantId, room: &RoomId, limit: usize) -> RecordQuery {
    let present = newest_by::<Presence>("updated_at").is("tenant_id", tenant).is("room_id", room);
    RecordQuery { limit, ..present.is("is_active", true) }
}

mutation!(
    Heartbeat,
    HeartbeatResponse,
    Scope::Act,
    |input, rules| Self::read(&input.body, rules),
    |heartbeat| {
        let [tenant, room, actor] = ids(heartbeat.actor());
        KeyScope::post(heartbeat.actor(), [tenant, room, actor, "presence", "heartbeat"])
    }
);
