//! Tickets: who gets them, and whose a used one is.

use std::sync::Arc;

use agentcafe_domain::kernel::{DomainError, OperationError, Rules};
use agentcafe_domain::keys::tickets::{
    IssueTicket as IssueTicketCommand, IssueTicketResponse, KeyIdentity, RedeemTicket as RedeemTicketCommand,
    StreamUrl, Ticket, ticket_key,
};
use agentcafe_domain::keys::token::RANDOM_BYTES;
use agentcafe_domain::keys::{Principal, Scope};
use agentcafe_store::Failure;

use super::authentication::unauthorized;
use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Prepared, Subject};
use crate::service::Service;

/// Issues a ticket to the caller.
pub struct IssueTicket;

/// Uses a ticket up, for a server of streams.
pub struct RedeemTicket;

impl FromInput for IssueTicket {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = IssueTicketCommand::read(&input.body, &Principal::Shared, &[0; RANDOM_BYTES]);
    }
}

impl FromInput for RedeemTicket {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = RedeemTicketCommand::read(&input.body, &Principal::Shared);
    }
}

/// The scope of a caller's idempotency keys for tickets.
fn key_scope(principal: &Principal, action: &str) -> KeyScope {
    let tenant = principal.binding().and_then(|binding| binding.tenant.clone());
    let subject = Subject { tenant: tenant.unwrap_or_default(), room: None, actor: None };
    KeyScope::post(subject, ["tickets", action])
}

impl Mutation for IssueTicket {
    type Command = IssueTicketCommand;
    type Answer = IssueTicketResponse;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<IssueTicketCommand>, OperationError> {
        let (principal, random) = (&call.caller.principal, call.service.engine.random());
        let command = IssueTicketCommand::read(&call.input.body, principal, &random);
        Ok(Prepared { scope: key_scope(principal, "create"), command })
    }
}

impl Mutation for RedeemTicket {
    type Command = RedeemTicketCommand;
    type Answer = KeyIdentity;

    const SCOPES: &'static [Scope] = &[Scope::Follow];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<RedeemTicketCommand>, OperationError> {
        let principal = &call.caller.principal;
        let command = RedeemTicketCommand::read(&call.input.body, principal);
        Ok(Prepared { scope: key_scope(principal, "redeem"), command })
    }
}

impl Service {
    /// Finds out who opens a stream with a ticket, and uses that up.
    ///
    /// # Errors
    /// `ERR_UNAUTHORIZED` for a ticket that is not valid; the store is not available.
    pub async fn authenticate_ticket(
        &self,
        ticket: &str,
        opens: StreamUrl,
    ) -> Result<Principal, OperationError> {
        // Read first, so that made-up tickets do not occupy the writer.
        let exists = self.store().get::<Ticket>(ticket_key(ticket)).await?.is_some();
        if !exists {
            return Err(unauthorized());
        }
        let redeem = Arc::new(RedeemTicketCommand::new(ticket, opens));
        let reply = self.engine.execute_in_background(redeem).await.map_err(|failure| match failure {
            Failure::Refused(_) => unauthorized(),
            other => other.into(),
        })?;
        let owner: KeyIdentity =
            serde_json::from_slice(&reply.data).map_err(|_| OperationError::internal())?;
        let Some(credential_id) = owner.credential_id else {
            self.require_live(&Principal::Shared).await?;
            return Ok(Principal::Shared);
        };
        let known = self.live_key(&credential_id).await?;
        let holder = known.and_then(|known| known.holder(&credential_id)).ok_or_else(unauthorized)?;
        Ok(Principal::Key(holder))
    }
}
