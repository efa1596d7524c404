//! Access to private tables: which actors may act in a room that is paid for, and with which features.

use crate::kernel::{
    ActorId, ActorInRoom, Code, CommandContext, CommandError, DomainError, Query, RecordQuery, RoomId,
    TenantId, Timestamp,
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

/// Lets the actor pass, if the room is no private table or the actor sits, or may sit, at it.
///
/// # Errors
/// `ERR_PAYMENT_REQUIRED`, `ERR_FORBIDDEN`, `ERR_PLAN_FEATURE_DISABLED`, `ERR_OUT_OF_BOUNDS {reason: "seat_capacity"}`.
pub fn check(
    ctx: &CommandContext<'_>,
    actor: &ActorInRoom,
    table_access: AccessRequirement<'_>,
) -> Result<(), CommandError> {
    let room: Option<Room> = ctx.get(actor.room_key())?;
    if room.is_none_or(|room| room.room_type != RoomType::PrivateTable) {
        return Ok(());
    }
    let session = ctx.find::<TableSession>(active_session(&actor.tenant_id, &actor.room_id))?.pop();
    let session = allow(session.as_ref(), actor, table_access, ctx.now)?;
    if table_access.takes_seat { take_seat(ctx, session, actor, table_access.action) } else { Ok(()) }
}

/// The session, if the actor may do this at its table now, seats aside.
///
/// # Errors
/// As [`admit`]; `ERR_PLAN_FEATURE_DISABLED`.
pub fn allow<'s>(
    session: Option<&'s TableSession>,
    actor: &ActorInRoom,
    table_access: AccessRequirement<'_>,
    now: Timestamp,
) -> Result<&'s TableSession, DomainError> {
    let session = admit(session, actor, table_access.action, now)?;
    match table_access.feature {
        Some(feature) if !session.has(feature) => {
            Err(about(Code::PlanFeatureDisabled, actor, table_access.action)
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

/// Lets the actor sit down, if it sits already or there is a free seat.
fn take_seat(
    ctx: &CommandContext<'_>,
    session: &TableSession,
    actor: &ActorInRoom,
    action: &str,
) -> Result<(), CommandError> {
    let present: Vec<Presence> = ctx.find(present(actor))?;
    let sits = |id: &ActorId| session.entitles(id);
    let taken = present.iter().filter(|presence| sits(&presence.actor_id)).count() as u64;
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use uuid::Uuid;

    use super::*;
    use crate::kernel::Usd;

    /// A session of Nova's from 1,000 to 2,000, to which Kai is invited.
    fn session(features: &[&str]) -> TableSession {
        let nova = ActorInRoom::named("default", "den", "Nova");
        TableSession {
            session_id: Uuid::nil(),
            tenant_id: nova.tenant_id,
            room_id: nova.room_id,
            owner_actor_id: nova.actor_id,
            plan_id: "americano".to_owned(),
            max_agents: 2,
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            invited_actor_ids: vec![ActorId::parse("Kai").unwrap()],
            status: SessionStatus::Active,
            started_at: Timestamp::from_millis(1_000),
            expires_at: Timestamp::from_millis(2_000),
            ended_at: None,
            payment_ref: None,
            payment_amount_usd: Usd::from_cents(0),
            payment_provider: "off".to_owned(),
            metadata: Map::new(),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    /// Access to a private table, for commands and reads alike.
    #[test]
    fn a_table_is_open_to_those_at_it_while_it_lasts() {
        let (with, without) = (session(&["replay"]), session(&["task_board"]));
        let replay = Some(Feature::Replay);
        let cases = [
            (Some(&with), "Nova", replay, 1_000, None),
            (Some(&with), "Kai", replay, 1_999, None),
            (Some(&without), "Kai", None, 1_500, None),
            (None, "Nova", None, 1_500, Some((Code::PaymentRequired, "roomId", json!("den")))),
            (Some(&with), "Eve", None, 1_500, Some((Code::Forbidden, "actorId", json!("Eve")))),
            (
                Some(&with),
                "Nova",
                None,
                2_000,
                Some((Code::Forbidden, "expiredAt", json!("1970-01-01T00:00:02.000Z"))),
            ),
            (
                Some(&with),
                "Nova",
                None,
                999,
                Some((Code::Forbidden, "startsAt", json!("1970-01-01T00:00:01.000Z"))),
            ),
            (
                Some(&without),
                "Nova",
                replay,
                1_500,
                Some((Code::PlanFeatureDisabled, "requiredFeature", json!("replay"))),
            ),
            (Some(&without), "Eve", replay, 1_500, Some((Code::Forbidden, "action", json!("replay")))),
        ];
        for (session, name, feature, now, want) in cases {
            let actor = ActorInRoom::named("default", "den", name);
            let table_access = AccessRequirement { action: "replay", feature, takes_seat: false };
            let got = allow(session, &actor, table_access, Timestamp::from_millis(now)).map(|_| ());
            let got = got.map_err(|error| (error.code, error.details));
            match want {
                None => assert!(got.is_ok(), "{name} {now}: {got:?}"),
                Some((code, key, value)) => {
                    let (refused, details) = got.unwrap_err();
                    assert_eq!((refused, details.get(key)), (code, Some(&value)), "{name} {now}");
                }
            }
        }
    }
}
