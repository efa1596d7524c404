//! Who may read what operators did.

use agentcafe_domain::kernel::{ActorId, ActorInRoom, DomainError, OperationError, RoomId, TenantId};
use agentcafe_domain::permissions::{self, Capability, Permission, PermissionsMode};

use crate::service::Service;

/// Who reads what operators did, and in which room.
pub(super) struct Viewer<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) room: Option<&'a RoomId>,
    pub(super) actor: Option<&'a ActorId>,
}

impl Viewer<'_> {
    /// In strict mode, only operators of a room read what was done there; where reads are gated, members of its table too.
    pub(super) async fn may_see(&self, service: &Service, action: &str) -> Result<(), OperationError> {
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
