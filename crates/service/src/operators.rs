//! Operators: overrides of rooms and actors, and the audit trail.

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Authority, DomainError, Field, OPERATOR_VIEWER_ACTOR_ID, OperationError,
    ROOM_FILTER, RecordQuery, RoomId, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::operators::{ApplyOverride, ApplyOverrideResponse, OverrideState};
use agentcafe_domain::permissions::{self, Capability, Permission, PermissionsMode, RoomOverride};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, KeyScope, Operation, ids, mutation, parameters};
use crate::paging::{LIMITS, Page, PageSelector, newest_by, record_list};

mod audit;

pub use audit::{AuditPage, ListAudit};

const OPERATOR_ID: Field =
    Field::new("operatorId", "The operator that reads, if viewerActorId is missing.", "Nova").of_caller();

/// Who reads what operators did, and in which room.
struct OperatorViewer<'a> {
    tenant: &'a TenantId,
    room: Option<&'a RoomId>,
    actor: Option<&'a ActorId>,
}

impl OperatorViewer<'_> {
    /// With an actor's API key or in strict mode, only operators of a room read what was done there; where reads are gated,
    /// members of its table too.
    async fn may_see(&self, call: &Call<'_>, action: &str) -> Result<(), OperationError> {
        let service = call.service;
        let is_open = *service.rules().get::<PermissionsMode>() == PermissionsMode::Open
            && call.caller.principal.authority() == Authority::Admin;
        if is_open && !service.gates_reads() {
            return Ok(());
        }
        let Some(room) = self.room else {
            if is_open {
                return service.may_list(self.tenant, None, self.actor).await;
            }
            return Err(DomainError::missing("roomId").into());
        };
        let viewer = ActorInRoom {
            tenant_id: self.tenant.clone(),
            room_id: room.clone(),
            actor_id: self.actor.cloned().unwrap_or_else(ActorId::system),
        };
        let permission: Option<Permission> = match self.actor {
            Some(_) => service.get(viewer.key()).await?,
            None => None,
        };
        match permissions::granted(permission.as_ref(), &viewer, Capability::Moderate, action) {
            Err(_) if is_open => service.may_read(self.tenant, room, self.actor).await,
            granted => Ok(granted?),
        }
    }
}

mutation!(
    ApplyOverride,
    ApplyOverrideResponse,
    Scope::Operate,
    |input, _| Self::read(&input.body),
    |apply| {
        let [tenant, room, _] = ids(apply.operator());
        let target = apply.target().map_or("-", ActorId::as_str);
        let parts = [tenant, room, "operator-overrides", apply.action().as_str(), target];
        KeyScope::post(apply.operator(), parts)
    }
);

parameters! {
    /// Lists the overrides in force, the last changed first; with a room, reads those of the room.
    ListOverrides(fields) {
        operator: Option<ActorId> = fields.actor(OPERATOR_ID)?,
        tenant: TenantId = fields.tenant_or_default()?,
        room: Option<RoomId> = fields.room(ROOM_FILTER)?,
        viewer: Option<ActorId> = fields.actor(OPERATOR_VIEWER_ACTOR_ID)?,
        query: RecordQuery = newest_by::<RoomOverride>("updated_at").is("tenant_id", &tenant),
        page: PageSelector = PageSelector::read::<RoomOverride>(fields, LIMITS)?,
    }
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

    const SCOPES: &'static [Scope] = &[Scope::Operate];

    async fn run(self, call: &Call<'_>) -> Result<OverridesAnswer, OperationError> {
        let Self { operator, tenant, room, viewer, query, page } = self;
        let actor = viewer.or(operator);
        let viewer = OperatorViewer { tenant: &tenant, room: room.as_ref(), actor: actor.as_ref() };
        viewer.may_see(call, "operator_overrides_read").await?;
        if let Some(room) = room {
            let set: Option<RoomOverride> = call.service.get(vec![(&tenant).into(), (&room).into()]).await?;
            let state = set.map_or_else(|| OverrideState::none(tenant, room), Into::into);
            return Ok(OverridesAnswer::One(OneOverride { state }));
        }
        let page: Page<RoomOverride> = call.service.page(page.of(query)).await?;
        Ok(OverridesAnswer::List(page.map(OverrideState::from).into()))
    }
}
