//! Imposes overrides on rooms and actors, and lists those in force.

use agentcafe_domain::kernel::{
    ActorId, DomainError, Field, OPERATOR_VIEWER_ACTOR_ID, OperationError, ROOM_FILTER, RecordQuery, RoomId,
    Rules, SortKey, TenantId,
};
use agentcafe_domain::operators::{ApplyOverride, ApplyOverrideResponse, OverrideState};
use agentcafe_domain::permissions::RoomOverride;
use schemars::JsonSchema;
use serde::Serialize;

use super::access::Viewer;
use crate::operation::{Call, Input, KeyScope, Mutation, Operation, Prepared};
use crate::paging::{self, record_list};

const OPERATOR_ID: Field =
    Field::new("operatorId", "The operator that reads, if viewerActorId is missing.", "Nova");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

impl Mutation for ApplyOverride {
    type Command = Self;
    type Answer = ApplyOverrideResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(&input.body)
    }

    async fn prepare(self, _: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (operator, action) = (self.operator().clone(), self.action().as_str());
        let target = self.target().map_or("-", ActorId::as_str);
        let (tenant, room) = (operator.tenant_id.as_str(), operator.room_id.as_str());
        let scope = KeyScope::post([tenant, room, "operator-overrides", action, target]);
        Ok(Prepared::by_actor(&operator, scope, self))
    }
}

/// Lists overrides.
pub struct ListOverrides {
    tenant: TenantId,
    room: Option<RoomId>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// The overrides of rooms, the last changed first.
    OverrideList { overrides: OverrideState }
}

/// The overrides of one room.
#[derive(Serialize, JsonSchema)]
pub struct OneOverride {
    /// The overrides of the room.
    #[serde(rename = "override")]
    state: OverrideState,
}

/// The overrides of one room, or a list.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OverridesAnswer {
    /// With a room.
    One(OneOverride),
    /// Otherwise.
    List(OverrideList),
}

impl Operation for ListOverrides {
    type Output = OverridesAnswer;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        let operator = fields.actor(OPERATOR_ID)?;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            viewer: fields.actor(OPERATOR_VIEWER_ACTOR_ID)?.or(operator),
            cursor: paging::cursor::<RoomOverride>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<OverridesAnswer, OperationError> {
        let Self { tenant, room, viewer, cursor, limit } = self;
        let viewer = Viewer { tenant: &tenant, room: room.as_ref(), actor: viewer.as_ref() };
        viewer.may_see(call.service, "operator_overrides_read").await?;
        if let Some(room) = room {
            let set: Option<RoomOverride> = call.service.get(vec![(&tenant).into(), (&room).into()]).await?;
            let state = set.map_or_else(|| OverrideState::none(tenant, room), Into::into);
            return Ok(OverridesAnswer::One(OneOverride { state }));
        }
        let query = RecordQuery::all::<RoomOverride>("updated_at", limit)
            .newest_first()
            .is("tenant_id", &tenant)
            .behind(cursor);
        let (set, next_cursor) = call.service.page::<RoomOverride>(query).await?;
        let overrides: Vec<OverrideState> = set.into_iter().map(Into::into).collect();
        Ok(OverridesAnswer::List((overrides, next_cursor).into()))
    }
}
