//! Reads one shared object.

use agentcafe_domain::kernel::{ActorId, DomainError, OperationError, Rules, TenantId};
use agentcafe_domain::objects::SharedObject;
use agentcafe_domain::work;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, Input, Operation};
use crate::read_access;
use crate::service::Service;

/// Reads one shared object.
pub struct GetObject {
    id: String,
    tenant: TenantId,
    viewer: Option<ActorId>,
}

/// One shared object.
#[derive(Serialize, JsonSchema)]
pub struct OneObject {
    /// The object.
    object: SharedObject,
}

impl Operation for GetObject {
    type Output = OneObject;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            id: input.id.clone(),
            tenant: input.parameters.tenant_or_default()?,
            viewer: read_access::viewer(&input.parameters)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneObject, OperationError> {
        let object = object(call.service, &self.tenant, &self.id).await?;
        call.service.may_read(&self.tenant, &object.room_id, self.viewer.as_ref()).await?;
        Ok(OneObject { object })
    }
}

/// The object with this id in this tenant. Objects neither vanish nor move.
pub(super) async fn object(
    service: &Service,
    tenant: &TenantId,
    id: &str,
) -> Result<SharedObject, OperationError> {
    let object: Option<SharedObject> = match Uuid::parse_str(id) {
        Ok(object_id) => service.get(SharedObject::key_of(object_id)).await?,
        Err(_) => None,
    };
    let own = object.filter(|object| object.tenant_id == *tenant);
    own.ok_or_else(|| work::not_found(tenant, "objectId", id).into())
}
