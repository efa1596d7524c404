//! Whether an actor may take a room that has no owner.

use crate::kernel::{
    ActorInRoom, Authority, Code, CommandContext, CommandError, DomainError, RecordQuery, RoomId,
};
use crate::presence::Presence;

/// Checks that the room may become the actor's: with an actor's API key, neither `main` nor a room in which others are present.
///
/// # Errors
/// `ERR_FORBIDDEN {tenantId, roomId, actorId, action}`.
pub(crate) fn check(
    ctx: &CommandContext<'_>,
    authority: Authority,
    actor: &ActorInRoom,
    action: &str,
) -> Result<(), CommandError> {
    if authority == Authority::Admin {
        return Ok(());
    }
    let present = RecordQuery::all::<Presence>("updated_at", 2)
        .is("tenant_id", &actor.tenant_id)
        .is("room_id", &actor.room_id)
        .is("is_active", true);
    let why = if actor.room_id == RoomId::main() {
        "the room main is everybody's"
    } else if ctx.find::<Presence>(present)?.iter().any(|present| present.actor_id != actor.actor_id) {
        "others are present in the room"
    } else {
        return Ok(());
    };
    Err(actor.describe(DomainError::new(Code::Forbidden).saying(why)).with("action", action).into())
}
