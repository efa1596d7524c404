//! Lists what was granted, the last changed first; with a room and an actor, reads what the actor may do there.

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, ActorInRoom, DomainError, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules,
    SortKey, TenantId,
};
use agentcafe_domain::permissions::Permission;
use agentcafe_domain::permissions::grant::EffectivePermission;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists permissions.
pub struct ListPermissions {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// What was granted, the last changed first.
    PermissionList { permissions: EffectivePermission }
}

/// What one actor may do in one room.
#[derive(Serialize, JsonSchema)]
pub struct OnePermission {
    /// What the actor may do in the room.
    permission: EffectivePermission,
}

/// One permission, or a list.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PermissionsAnswer {
    /// With a room and an actor.
    One(OnePermission),
    /// Otherwise.
    List(PermissionList),
}

impl Operation for ListPermissions {
    type Output = PermissionsAnswer;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            actor: fields.actor(ACTOR_FILTER)?,
            cursor: paging::cursor::<Permission>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<PermissionsAnswer, OperationError> {
        let Self { tenant: tenant_id, room, actor, cursor, limit } = self;
        if let (Some(room_id), Some(actor_id)) = (room.clone(), actor.clone()) {
            let actor = ActorInRoom { tenant_id, room_id, actor_id };
            let granted: Option<Permission> = call.service.get(actor.key()).await?;
            let permission = granted.map_or_else(|| EffectivePermission::default_of(&actor), Into::into);
            return Ok(PermissionsAnswer::One(OnePermission { permission }));
        }
        let query = RecordQuery::all::<Permission>("updated_at", limit)
            .newest_first()
            .is("tenant_id", &tenant_id)
            .is_if_given("room_id", room.as_ref())
            .is_if_given("actor_id", actor.as_ref())
            .behind(cursor);
        let (granted, next_cursor) = call.service.page::<Permission>(query).await?;
        let permissions: Vec<EffectivePermission> = granted.into_iter().map(Into::into).collect();
        Ok(PermissionsAnswer::List((permissions, next_cursor).into()))
    }
}
