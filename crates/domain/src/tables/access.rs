//! Access to private tables: which actors may act in a room that is paid for, and with which features.

use crate::kernel::{
    ActorInRoom, Code, CommandContext, CommandError, DomainError, Query, RecordQuery, RoomId, TenantId,
    Timestamp,
};
use crate::presence::record::Presence;
use crate::rooms::{Room, RoomType};
use crate::tables::plan::Feature;
use crate::tables::{SessionStatus, TableSession};

/// The most presences that are looked at to count taken seats: far more than a plan seats.
const MAX_COUNTED_PRESENCES: usize = 1_000;

/// The access that an action needs.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequirement<'a> {
    /// The action's label.
    pub action: &'a str,
    /// What the plan must include.
    pub feature: Option<Feature>,
    /// Whether doing it makes the actor present.
    pub takes_seat: bool,
}

impl<'a> AccessRequirement<'a> {
    /// The access that an action needs that no plan must include and that takes no seat.
    pub const fn new(action: &'a str) -> Self {
        Self { action, feature: None, takes_seat: false }
    }

    /// The same for an action that the plan must include.
    #[must_use]
    pub const fn with_feature(self, feature: Feature) -> Self {
        Self { feature: Some(feature), ..self }
    }

    /// The same for an action that makes the actor present.
    #[must_use]
    pub const fn taking_seat(self) -> Self {
        Self { takes_seat: true, ..self }
    }
}

/// What the check always reads; for a private table it loads more.
pub fn read(actor: &ActorInRoom) -> Query {
    Query::one::<Room>(actor.room_key())
}

/// The active session of a room, if there is one.
pub fn active_session(tenant: &TenantId, room: &RoomId) -> RecordQuery {
    RecordQuery::all::<TableSession>("updated_at", 1)
        .newest_first()
        .is("tenant_id", tenant)
        .is("room_id", room)
        .is("status", SessionStatus::Active.as_str())
}

/// The present actors of a room, as many as are counted.
fn present(actor: &ActorInRoom) -> RecordQuery {
    RecordQuery::all::<Presence>("updated_at", MAX_COUNTED_PRESENCES)
        .newest_first()
        .is("tenant_id", &actor.tenant_id)
        .is("room_id", &actor.room_id)
        .is("is_active", true)
}

/// Allows the action if the room is no private table, or the actor is a member of its session and has, or gets, a seat.
///
/// # Errors
/// `ERR_PAYMENT_REQUIRED`, `ERR_FORBIDDEN`, `ERR_PLAN_FEATURE_DISABLED`, `ERR_OUT_OF_BOUNDS {reason: "seat_capacity"}`.
pub fn check(
    ctx: &CommandContext<'_>,
    actor: &ActorInRoom,
    required: AccessRequirement<'_>,
) -> Result<(), CommandError> {
    let room: Option<Room> = ctx.get(actor.room_key())?;
    if room.is_none_or(|room| room.room_type != RoomType::PrivateTable) {
        return Ok(());
    }
    let session = ctx.find::<TableSession>(active_session(&actor.tenant_id, &actor.room_id))?.pop();
    let session = allow(session.as_ref(), actor, required, ctx.now)?;
    if required.takes_seat { take_seat(ctx, session, actor, required.action) } else { Ok(()) }
}

/// The session, if the actor may do this at its table now, seats aside.
///
/// # Errors
/// As [`admit`]; `ERR_PLAN_FEATURE_DISABLED`.
pub fn allow<'s>(
    session: Option<&'s TableSession>,
    actor: &ActorInRoom,
    required: AccessRequirement<'_>,
    now: Timestamp,
) -> Result<&'s TableSession, DomainError> {
    let session = admit(session, actor, required.action, now)?;
    match required.feature {
        Some(feature) if !session.has(feature) => {
            Err(about(Code::PlanFeatureDisabled, actor, required.action)
                .saying(format!("the plan {} does not include {}", session.plan_id, feature.as_str()))
                .with("sessionId", session.session_id.to_string())
                .with("planId", session.plan_id.as_str())
                .with("requiredFeature", feature.as_str())
                .with("enabledFeatures", session.features.clone()))
        }
        _ => Ok(session),
    }
}

fn about(code: Code, actor: &ActorInRoom, action: &str) -> DomainError {
    actor.describe(DomainError::new(code)).with("action", action)
}

/// The session, if the actor may be at its table now.
///
/// # Errors
/// `ERR_PAYMENT_REQUIRED` without a session, `ERR_FORBIDDEN` if it has expired, has not begun, or is not the actor's.
pub fn admit<'s>(
    session: Option<&'s TableSession>,
    actor: &ActorInRoom,
    action: &str,
    now: Timestamp,
) -> Result<&'s TableSession, DomainError> {
    let Some(session) = session else {
        return Err(about(Code::PaymentRequired, actor, action)
            .saying("this private table has no active session; POST /v1/table-sessions opens one"));
    };
    let forbidden = |message: &str| {
        about(Code::Forbidden, actor, action)
            .saying(message)
            .with("sessionId", session.session_id.to_string())
    };
    if session.expires_at <= now {
        let expired_at = session.expires_at.to_string();
        return Err(forbidden("the session has expired").with("expiredAt", expired_at));
    }
    if session.started_at > now {
        let starts_at = session.started_at.to_string();
        return Err(forbidden("the session has not begun").with("startsAt", starts_at));
    }
    if !session.entitles(&actor.actor_id) {
        return Err(forbidden("the actor neither owns the session nor is invited to it"));
    }
    Ok(session)
}

/// Allows the action if the actor has a seat or one is free.
fn take_seat(
    ctx: &CommandContext<'_>,
    session: &TableSession,
    actor: &ActorInRoom,
    action: &str,
) -> Result<(), CommandError> {
    let present: Vec<Presence> = ctx.find(present(actor))?;
    let is_member = |presence: &&Presence| session.entitles(&presence.actor_id);
    let taken = present.iter().filter(is_member).count() as u64;
    if present.iter().any(|presence| presence.actor_id == actor.actor_id) || taken < session.max_agents {
        return Ok(());
    }
    Err(about(Code::OutOfBounds, actor, action)
        .saying(format!("all {} seats are taken", session.max_agents))
        .with("reason", "seat_capacity")
        .with("sessionId", session.session_id.to_string())
        .with("planId", session.plan_id.as_str())
        .with("maxAgents", session.max_agents)
        .with("activeAgents", taken)
        .into())
}
