//! Presence: heartbeats, statuses, and expiry.

pub mod arrival;
pub mod movement;
pub mod position;
pub mod record;

use serde_json::{Map, Value};

pub use self::record::{Presence, Status, TTL_MS};
use crate::actors;
use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Command, CommandContext, CommandError, Comparison, DomainError, Field,
    Fields, Query, RecordQuery, Reply, Rules, Success, Timestamp, payloads, response, rule_set,
};
use crate::permissions;
use crate::tables::access::{self, AccessRequirement};

/// The settings of presence.
#[derive(Clone, Copy, Debug)]
pub struct PresenceRules {
    /// How long an actor counts as present after it acted, unless the request has another time, in milliseconds.
    pub default_ttl_ms: i64,
}

impl Default for PresenceRules {
    fn default() -> Self {
        Self { default_ttl_ms: 60_000 }
    }
}
rule_set!(PresenceRules);

/// The activity that an actor reports.
pub const STATUS: Field =
    Field::new("status", "What the actor is doing. Default: idle.", "thinking").in_example();
const TTL: Field = Field::new(
    "ttlMs",
    "How long the actor counts as present without another heartbeat, in milliseconds.",
    "60000",
);
/// The label of a heartbeat in policies.
const ACTION: &str = "presence_heartbeat";

payloads! {
    /// An actor's status changed.
    StatusChanged {
        /// What it was doing; null at first.
        from_status: Option<Status>,
        /// What it is doing.
        to_status: Status,
        /// Why it changed.
        reason: String,
        /// Who changed it: `agent`, `operator` or `system`.
        source: String,
        /// When it changed.
        changed_at: Timestamp,
        /// When the actor last showed that it is there.
        last_heartbeat_at: Option<Timestamp>,
        /// When that runs out, or ran out.
        expires_at: Option<Timestamp>,
        /// The operator that caused it.
        operator_id: Option<ActorId>,
        /// Always empty.
        metadata: Map<String, Value>,
        /// The same as fromStatus.
        from: Option<Status>,
        /// The same as toStatus.
        to: Status,
    }
    /// An actor sent a heartbeat, or did something that counts as one.
    PresenceHeartbeat {
        /// What the actor is doing.
        status: Status,
        /// How long the heartbeat holds, in milliseconds.
        ttl_ms: i64,
        /// When it was sent.
        last_heartbeat_at: Timestamp,
        /// When it runs out.
        expires_at: Timestamp,
    }
}

/// Why a presence changed, for the events that have a reason.
#[derive(Clone, Copy, Debug)]
pub struct ChangeReason<'a> {
    /// The reason's name.
    pub reason: &'a str,
    /// `agent`, `operator` or `system`.
    pub source: &'a str,
    /// The operator that caused it.
    pub operator: Option<&'a ActorId>,
}

impl<'a> ChangeReason<'a> {
    /// The actor's own doing.
    pub const fn of_agent(reason: &'a str) -> Self {
        Self { reason, source: "agent", operator: None }
    }
}

/// What presence rules read.
pub fn read(actor: &ActorInRoom) -> Query {
    Query::one::<Presence>(actor.key())
}

/// The moments that the event of a change shows beside the change's own.
struct EventTimes {
    last_heartbeat_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// The event of a change from `previous` to `current`, if the status is another.
fn status_changed(
    previous: &Presence,
    current: &Presence,
    why: ChangeReason<'_>,
    shown: EventTimes,
) -> Option<StatusChanged> {
    (previous.status != current.status).then(|| StatusChanged {
        from_status: Some(previous.status),
        to_status: current.status,
        reason: why.reason.to_owned(),
        source: why.source.to_owned(),
        changed_at: current.updated_at,
        last_heartbeat_at: shown.last_heartbeat_at,
        expires_at: shown.expires_at,
        operator_id: why.operator.cloned(),
        metadata: Map::new(),
        from: Some(previous.status),
        to: current.status,
    })
}

/// Records that the actor is there, with a `presence_heartbeat` caused by `cause`, and a `status_changed` if it is one.
///
/// # Errors
/// As [`actors::register`] for an actor that was never here; [`CommandError::Load`] what [`read`] names.
pub fn heartbeat(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    (status, ttl_ms): (Status, i64),
    why: ChangeReason<'_>,
    cause: Option<&str>,
) -> Result<Presence, CommandError> {
    let previous: Option<Presence> = ctx.get(actor.key())?;
    if previous.is_none() {
        actors::register(ctx, &actor.tenant_id, &actor.actor_id, ACTOR_ID.name)?;
    }
    let current = Presence::after_heartbeat(previous.as_ref(), actor, status, ttl_ms, ctx.now);
    let beat = PresenceHeartbeat {
        status,
        ttl_ms: current.ttl_ms,
        last_heartbeat_at: current.last_heartbeat_at,
        expires_at: current.expires_at,
    };
    let beat = ctx.append(actor, &beat, cause)?;
    let shown = EventTimes { last_heartbeat_at: Some(current.last_heartbeat_at), expires_at: None };
    if let Some(previous) = previous
        && let Some(change) = status_changed(&previous, &current, why, shown)
    {
        ctx.append(actor, &change, Some(&beat.cause()))?;
    }
    ctx.put(&current);
    Ok(current)
}

/// Records that the actor is no longer there, with a `status_changed` caused by `cause` if it was.
///
/// # Errors
/// [`CommandError::Load`] what [`read`] names.
pub fn set_inactive(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    why: ChangeReason<'_>,
    cause: Option<&str>,
) -> Result<Option<Presence>, CommandError> {
    let Some(previous) = ctx.get::<Presence>(actor.key())? else { return Ok(None) };
    if previous.status == Status::Inactive && !previous.is_active {
        return Ok(Some(previous));
    }
    let current = previous.expired(ctx.now);
    let shown = EventTimes {
        last_heartbeat_at: Some(current.last_heartbeat_at),
        expires_at: Some(current.expires_at),
    };
    if let Some(change) = status_changed(&previous, &current, why, shown) {
        ctx.append(actor, &change, cause)?;
    }
    ctx.put(&current);
    Ok(Some(current))
}

/// Checks that the actor may show with this status that it is there.
fn check_heartbeat(
    ctx: &CommandContext<'_>,
    actor: &ActorInRoom,
    status: Status,
) -> Result<(), CommandError> {
    let takes_seat = status != Status::Inactive;
    access::check(ctx, actor, AccessRequirement { action: ACTION, feature: None, takes_seat })?;
    permissions::not_overridden(ctx, actor, ACTION)
}

/// What a heartbeat reads.
fn heartbeat_reads(actor: &ActorInRoom) -> Vec<Query> {
    permissions::reads(actor).into_iter().chain([read(actor), access::read(actor)]).collect()
}

/// `POST /v1/presence/heartbeat`: an actor shows that it is there.
pub struct Heartbeat {
    actor: ActorInRoom,
    status: Status,
    ttl_ms: i64,
}

response! {
    /// The answer to a [`Heartbeat`].
    HeartbeatResponse + emitted_events {
        /// The presence of the actor.
        presence: Presence,
    }
}

impl Heartbeat {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub fn read(fields: &Fields, rules: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            actor: ActorInRoom::read(fields)?,
            status: fields.text_choice(STATUS, &Status::NAMES)?.unwrap_or(Status::Idle),
            ttl_ms: fields.clamped(TTL, TTL_MS)?.unwrap_or(rules.get::<PresenceRules>().default_ttl_ms),
        })
    }

    /// The actor.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }
}

impl Command for Heartbeat {
    fn reads(&self) -> Vec<Query> {
        heartbeat_reads(&self.actor)
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        check_heartbeat(ctx, &self.actor, self.status)?;
        let why = ChangeReason::of_agent("heartbeat_update");
        let presence = heartbeat(ctx, &self.actor, (self.status, self.ttl_ms), why, None)?;
        Ok(HeartbeatResponse::reply(ctx, Success::Accepted, presence))
    }
}

/// A listener's liveness: refreshes its presence while it polls. Appends events only if the status changes.
pub struct RefreshPresence {
    /// The actor that listens.
    pub actor: ActorInRoom,
    /// The status it gives itself; else it keeps the one it has, or is idle.
    pub status: Option<Status>,
    /// How long it counts as present, in milliseconds; else as long as before.
    pub ttl_ms: Option<i64>,
}

impl Command for RefreshPresence {
    fn reads(&self) -> Vec<Query> {
        heartbeat_reads(&self.actor)
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let previous: Option<Presence> = ctx.get(self.actor.key())?;
        let active = previous.as_ref().filter(|presence| presence.is_active);
        let status = self.status.or(active.map(|presence| presence.status)).unwrap_or(Status::Idle);
        check_heartbeat(ctx, &self.actor, status)?;
        let stays = |presence: &Presence| {
            presence.status == status && presence.is_active == (status != Status::Inactive)
        };
        let kept_ttl_ms =
            active.map_or(ctx.rules.get::<PresenceRules>().default_ttl_ms, |presence| presence.ttl_ms);
        let ttl_ms = self.ttl_ms.unwrap_or(kept_ttl_ms);
        let presence = if previous.as_ref().is_some_and(stays) {
            let current = Presence::after_heartbeat(previous.as_ref(), &self.actor, status, ttl_ms, ctx.now);
            ctx.put(&current);
            current
        } else {
            let why = ChangeReason::of_agent("heartbeat_update");
            heartbeat(ctx, &self.actor, (status, ttl_ms), why, None)?
        };
        Ok(Reply::new(Success::Ok, &presence))
    }
}

/// Marks expired presences inactive, at most [`ExpirePresence::BATCH`] at once. Answers their number.
pub struct ExpirePresence {
    /// Presences that expire at or before this time are marked.
    pub now: Timestamp,
}

impl ExpirePresence {
    /// The most presences that one command marks; a sweep goes on until a command marks fewer.
    pub const BATCH: usize = 500;

    fn due(&self) -> RecordQuery {
        let by_expiry = RecordQuery::all::<Presence>("active_until", Self::BATCH);
        by_expiry.only("active_until", Comparison::AtMost, self.now)
    }
}

impl Command for ExpirePresence {
    fn reads(&self) -> Vec<Query> {
        vec![Query::Many(self.due())]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let due: Vec<Presence> = ctx.find(self.due())?;
        for presence in &due {
            let actor = ActorInRoom::new(&presence.tenant_id, &presence.room_id, &presence.actor_id);
            let current = presence.expired(ctx.now);
            ctx.put(&current);
            let why = ChangeReason { reason: "heartbeat_ttl_expired", source: "system", operator: None };
            let shown = EventTimes { last_heartbeat_at: None, expires_at: Some(current.expires_at) };
            if let Some(change) = status_changed(presence, &current, why, shown) {
                ctx.correlation_id = ctx.fresh_id().into();
                ctx.append(&actor, &change, None)?;
            }
        }
        Ok(Reply::new(Success::Ok, &due.len()))
    }
}
