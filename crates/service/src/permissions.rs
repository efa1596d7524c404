//! Permissions: who may do what in a room.

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, ActorInRoom, Authority, DomainError, Fields, OperationError, ROOM_FILTER,
    RecordQuery, RoomId, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::permissions::Permission;
use agentcafe_domain::permissions::grant::{EffectivePermission, GrantPermission, GrantPermissionResponse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, KeyScope, Operation, ids, mutation, parameters};
use crate::paging::{LIMITS, Page, PageSelector, newest_by, record_list};

parameters! {
    /// Lists what was granted, the last changed first; with a room and an actor, reads what the actor may do there.
    ListPermissions(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: Option<RoomId> = fields.room(ROOM_FILTER)?,
        actor: Option<ActorId> = listed_actor(fields)?,
        query: RecordQuery = newest_by::<Permission>("updated_at")
            .is("tenant_id", &tenant)
            .is_if_given("room_id", room.as_ref())
            .is_if_given("actor_id", actor.as_ref()),
        page: PageSelector = PageSelector::read::<Permission>(fields, LIMITS)?,
    }
}

/// The actor whose permissions are listed: with an actor's API key, its own, unless it acts as an operator.
fn listed_actor(fields: &Fields) -> Result<Option<ActorId>, DomainError> {
    match fields.authority() {
        Authority::Actor => fields.required_actor(ACTOR_FILTER.of_caller()).map(Some),
        Authority::Operator | Authority::Admin => fields.actor(ACTOR_FILTER),
    }
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

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<PermissionsAnswer, OperationError> {
        let (Some(room_id), Some(actor_id)) = (self.room, self.actor) else {
            let granted: Page<Permission> = call.service.page(self.page.of(self.query)).await?;
            return Ok(PermissionsAnswer::List(granted.map(EffectivePermission::from).into()));
        };
        let actor = ActorInRoom { tenant_id: self.tenant, room_id, actor_id };
        let granted: Option<Permission> = call.service.get(actor.key()).await?;
        let permission = granted.map_or_else(|| EffectivePermission::default_of(&actor), Into::into);
        Ok(PermissionsAnswer::One(OnePermission { permission }))
    }
}

mutation!(
    GrantPermission,
    GrantPermissionResponse,
    Scope::Operate,
    |input, _| Self::read(&input.body),
    |grant| {
        let [tenant, room, actor] = ids(grant.actor());
        KeyScope::post(grant.actor(), [tenant, "permissions", room, actor])
    }
);
