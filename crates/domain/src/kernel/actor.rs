//! An actor in a room: the identity that almost every command and rule starts from.

use crate::kernel::error::DomainError;
use crate::kernel::fields::{ACTOR_ID, Fields};
use crate::kernel::ids::{ActorId, RoomId, TenantId};
use crate::kernel::record::Key;

/// An actor in a room of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActorInRoom {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor.
    pub actor_id: ActorId,
}

impl ActorInRoom {
    /// An actor in a room of a tenant.
    pub fn new(tenant_id: &TenantId, room_id: &RoomId, actor_id: &ActorId) -> Self {
        Self { tenant_id: tenant_id.clone(), room_id: room_id.clone(), actor_id: actor_id.clone() }
    }

    /// Another actor in the same room.
    #[must_use]
    pub fn with_actor(&self, actor_id: &ActorId) -> Self {
        Self::new(&self.tenant_id, &self.room_id, actor_id)
    }

    /// Reads `tenantId` (else `default`), `roomId` (else `main`) and `actorId`, in this order.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD` for the actor, `ERR_VALIDATION` for an id that is not valid.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant_id: fields.tenant_or_default()?,
            room_id: fields.room_or_main()?,
            actor_id: fields.required_actor(ACTOR_ID)?,
        })
    }

    /// The key of records that are kept per tenant, room and actor.
    pub fn key(&self) -> Key {
        vec![(&self.tenant_id).into(), (&self.room_id).into(), (&self.actor_id).into()]
    }

    /// The key of records that are kept per tenant and room.
    pub fn room_key(&self) -> Key {
        vec![(&self.tenant_id).into(), (&self.room_id).into()]
    }

    /// The error with the ids of the actor.
    #[must_use]
    pub fn describe(&self, error: DomainError) -> DomainError {
        error
            .with("tenantId", self.tenant_id.as_str())
            .with("roomId", self.room_id.as_str())
            .with("actorId", self.actor_id.as_str())
    }
}
