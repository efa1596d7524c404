//! Reads one session.

use agentcafe_domain::kernel::{ActorId, DomainError, OperationError, Rules, TenantId};
use agentcafe_domain::tables::{self, SessionView, TableSession};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, Input, Operation};
use crate::read_access;

/// Reads one session.
pub struct GetSession {
    id: String,
    tenant: TenantId,
    viewer: Option<ActorId>,
}

/// One session.
#[derive(Serialize, JsonSchema)]
pub struct OneSession {
    /// The session.
    session: SessionView,
}

impl Operation for GetSession {
    type Output = OneSession;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            id: input.id.clone(),
            tenant: input.parameters.tenant_or_default()?,
            viewer: read_access::viewer(&input.parameters)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneSession, OperationError> {
        let session: Option<TableSession> = match Uuid::parse_str(&self.id) {
            Ok(id) => call.service.get(TableSession::key_of(id)).await?,
            Err(_) => None,
        };
        let own = session.filter(|session| session.tenant_id == self.tenant);
        let session = own.ok_or_else(|| tables::not_found(&self.tenant, &self.id))?;
        call.service.may_see_session(&session, self.viewer.as_ref())?;
        Ok(OneSession { session: session.shown_to(self.viewer.as_ref()) })
    }
}
