//! Operators: overrides of rooms and actors, and the audit trail.

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, DomainError, Field, OPERATOR_VIEWER_ACTOR_ID, OperationError, ROOM_FILTER,
    RecordQuery, RoomId, Rules, TenantId,
};
use agentcafe_domain::operators::{ApplyOverride, ApplyOverrideResponse, OverrideState};
use agentcafe_domain::permissions::{self, Capability, Permission, PermissionsMode, RoomOverride};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, KeyScope, Operation, ids, mutation};
use crate::paging::{LIMITS, Page, newest_by, page_of, record_list};
use crate::service::Service;

mod audit;

pub use audit::{AuditPage, ListAudit};

const OPERATOR_ID: Field =
    Field::new("operatorId", "The operator that reads, if viewerActorId is missing.", "Nova");

/// Who reads what operators did, and in which room.
struct OperatorViewer<'a> {
    tenant: &'a TenantId,
    room: Option<&'a RoomId>,
    actor: Option<&'a ActorId>,
}

impl OperatorViewer<'_> {
    /// In strict mode, only operators of a room read what was done there; where reads are gated, members of its table too.
    async fn may_see(&self, service: &Service, action: &str) -> Result<(), OperationError> {
        let is_open = *service.rules().get::<PermissionsMode>() == PermissionsMode::Open;
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

mutation!(ApplyOverride, ApplyOverrideResponse, |input, _| Self::read(&input.body), |apply| {
    let [tenant, room, _] = ids(apply.operator());
    let target = apply.target().map_or("-", ActorId::as_str);
    let parts = [tenant, room, "operator-overrides", apply.action().as_str(), target];
    KeyScope::post(apply.operator(), parts)
});

/// Lists the overrides in force, the last changed first; with a room, reads those of the room.
pub struct ListOverrides {
    tenant: TenantId,
    room: Option<RoomId>,
    viewer: Option<ActorId>,
    query: RecordQuery,
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
        let (tenant, room) = (fields.tenant_or_default()?, fields.room(ROOM_FILTER)?);
        let viewer = fields.actor(OPERATOR_VIEWER_ACTOR_ID)?.or(operator);
        let all = newest_by::<RoomOverride>("updated_at").is("tenant_id", &tenant);
        Ok(Self { tenant, room, viewer, query: page_of(all, fields, LIMITS)? })
    }

    async fn run(self, call: &Call<'_>) -> Result<OverridesAnswer, OperationError> {
        let Self { tenant, room, viewer, query } = self;
        let viewer = OperatorViewer { tenant: &tenant, room: room.as_ref(), actor: viewer.as_ref() };
        viewer.may_see(call.service, "operator_overrides_read").await?;
        if let Some(room) = room {
            let set: Option<RoomOverride> = call.service.get(vec![(&tenant).into(), (&room).into()]).await?;
            let state = set.map_or_else(|| OverrideState::none(tenant, room), Into::into);
            return Ok(OverridesAnswer::One(OneOverride { state }));
        }
        let page: Page<RoomOverride> = call.service.page(query).await?;
        Ok(OverridesAnswer::List(page.map(OverrideState::from).into()))
    }
}
