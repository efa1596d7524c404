//! The presence of actors that listen: a poll refreshes it, a stream keeps it up.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{ActorInRoom, DomainError, Field, Fields, OperationError};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::presence::{self, Presence, PresenceRules, RefreshPresence, Status};
use agentcafe_store::{EventFilter, Failure};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::operation::Call;
use crate::service::Service;

const STATUS: Field =
    Field::new("status", "What the actor is doing. Default: what it did before, else idle.", "thinking");
const TTL_MS: Field = Field::new(
    "ttlMs",
    "How long the actor counts as present after the request, in milliseconds. Default: as long as before.",
    "60000",
);
/// How often a stream refreshes the presence of its actor before it would expire.
const REFRESHES_PER_TTL: u64 = 3;

/// An actor that listens, and is to be shown as present.
pub(super) struct Listener(Arc<RefreshPresence>);

impl Listener {
    /// Reads whom `actor` names and how it is shown as present, in the tenant and room that are filtered by; none if one of
    /// these is missing, or it is not `shown`.
    ///
    /// # Errors
    /// The first field that is not valid, or a reserved name.
    pub(super) fn read(
        fields: &Fields,
        filter: &EventFilter,
        actor: Field,
        shown: bool,
    ) -> Result<Option<Self>, DomainError> {
        let actor_id = fields.actor(actor)?;
        let status = fields.text_choice(STATUS, &Status::NAMES)?;
        let ttl_ms = fields.clamped(TTL_MS, presence::TTL_MS)?;
        let (Some(actor_id), Some(tenant_id), Some(room_id)) =
            (actor_id, filter.tenant.clone(), filter.room.clone())
        else {
            return Ok(None);
        };
        if shown && actor_id.is_reserved() {
            return Err(actor.reserved(&actor_id));
        }
        let actor = ActorInRoom { tenant_id, room_id, actor_id };
        Ok(shown.then(|| Self(Arc::new(RefreshPresence { actor, status, ttl_ms }))))
    }

    /// Itself, unless the request must not have effects, or its caller must not act: for that, reading is not enough.
    pub(super) fn permitted(self, call: &Call<'_>) -> Option<Self> {
        let caller = call.caller;
        (!caller.transport.is_probe && caller.principal.check(&[Scope::Act]).is_ok()).then_some(self)
    }

    /// Shows the actor as present. An operator's override, or a store that takes no writes, prevents that, but not that the
    /// actor listens.
    pub(super) async fn show(&self, service: &Service) -> Result<Option<Presence>, OperationError> {
        match service.engine.execute_in_background(Arc::<RefreshPresence>::clone(&self.0)).await {
            Ok(reply) => {
                serde_json::from_slice(&reply.data).map(Some).map_err(|_| OperationError::internal())
            }
            Err(Failure::Refused(_) | Failure::Unavailable(_)) => Ok(None),
            Err(failure @ (Failure::Internal(_) | Failure::External(_))) => Err(failure.into()),
        }
    }

    /// Shows the actor as present until the handle is dropped.
    pub(super) async fn keep_shown(
        self,
        service: &Arc<Service>,
    ) -> Result<AbortOnDropHandle<()>, OperationError> {
        let (mut presence, service) = (self.show(service).await?, Arc::clone(service));
        let default_ttl_ms = service.rules().get::<PresenceRules>().default_ttl_ms;
        Ok(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let ttl_ms = presence.map_or(default_ttl_ms, |presence| presence.ttl_ms);
                sleep(Duration::from_millis(ttl_ms.unsigned_abs() / REFRESHES_PER_TTL)).await;
                // The store has logged what failed. The next refresh may succeed.
                presence = self.show(&service).await.ok().flatten();
            }
        })))
    }
}
