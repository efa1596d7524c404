//! Whether a room that has no owner may be taken: not while others use it.

use agentcafe_domain::kernel::{ActorInRoom, Authority, Code, DomainError, Event, OperationError};
use agentcafe_domain::rooms::Room;
use agentcafe_store::{EventFilter, EventQuery};

use crate::operation::Call;

/// For how long a room is used by whoever did something in it, in milliseconds: a day.
const USED_MS: i64 = 86_400_000;
/// How many of the newest events of a room are looked at.
const MAX_SCANNED: usize = 500;

/// Checks that nobody but the actor did something in the room within the last day, unless the room has an owner, who is checked
/// elsewhere, or the caller manages the tenant. That nobody else is present is checked when the room is taken.
///
/// # Errors
/// `ERR_FORBIDDEN {tenantId, roomId, actorId}`, or that the store is not available.
pub(crate) async fn check(call: &Call<'_>, actor: &ActorInRoom) -> Result<(), OperationError> {
    let service = call.service;
    if call.caller.principal.authority() == Authority::Admin {
        return Ok(());
    }
    let room: Option<Room> = service.get(actor.room_key()).await?;
    if room.is_some_and(|room| room.owner_actor_id.is_some()) {
        return Ok(());
    }
    let (tenant, room) = (Some(actor.tenant_id.clone()), Some(actor.room_id.clone()));
    let filter = EventFilter { tenant, room, ..EventFilter::default() };
    let newest = service.store().events(EventQuery::newest(filter, MAX_SCANNED)).await?.events;
    let since = service.engine.now().plus_ms(-USED_MS);
    let is_of_another = |event: &Event| {
        event.timestamp >= since && event.actor_id != actor.actor_id && !event.actor_id.is_reserved()
    };
    let mut events = newest.iter().filter_map(|event| serde_json::from_slice::<Event>(&event.json).ok());
    if events.any(|event| is_of_another(&event)) {
        let why = "others used the room within the last day";
        return Err(actor.describe(DomainError::new(Code::Forbidden).saying(why)).into());
    }
    Ok(())
}
