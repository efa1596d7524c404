//! Entering and leaving a room.

use serde_json::{Map, Value};

use crate::actor_command::{Action, ActorCommand, PresenceEffect};
use crate::kernel::{
    ActorId, ActorInRoom, CAUSATION_ID, CommandContext, CommandError, DomainError, EmittedEvent, Field,
    Fields, Query, Rules, Timestamp, bounded_text, payloads,
};
use crate::permissions::Capability;
use crate::presence::position::{Point, Position, SPAWN, SentPosition};

const MAX_REASON_CHARS: usize = 1_000;
const PAYLOAD: Field = Field::new(
    "payload",
    "How the actor enters or leaves: source, reason, enteredAt or leftAt, position and metadata. Members of another type are ignored.",
    r#"{"source":"web","reason":"done for today","position":{"x":1,"y":2},"metadata":{"mood":"curious"}}"#,
);

payloads! {
    /// An actor entered the room.
    AgentEntered {
        /// What it came by, as it said; `agent` by default.
        source: String,
        /// Why it came, as it said.
        reason: String,
        /// When it came, as it said; by default when the event was stored.
        entered_at: Timestamp,
        /// Where it asked to be; null if it did not.
        position: Option<SentPosition>,
        /// Free data of the actor.
        metadata: Map<String, Value>,
    }
    /// An actor left the room, or an operator removed it.
    AgentLeft {
        /// What it left by, as it said; `operator` if an operator removed it.
        source: String,
        /// Why it left.
        reason: String,
        /// When it left; by default when the event was stored.
        left_at: Timestamp,
        /// Whether an operator removed it.
        forced: bool,
        /// The operator that removed it; null if it left by itself.
        operator_id: Option<ActorId>,
        /// Free data of the actor, or of the operator that removed it.
        metadata: Map<String, Value>,
    }
}

/// The optional fields in the `payload` of an arrival or a departure.
struct TransitionDetails {
    source: Option<String>,
    reason: Option<String>,
    at: Option<Timestamp>,
    position: Option<SentPosition>,
    metadata: Map<String, Value>,
    cause: Option<String>,
}

impl TransitionDetails {
    /// A member of another type counts as not sent. The sources `operator` and `system` are ignored.
    fn read(fields: &Fields, at: &str) -> Result<Self, DomainError> {
        let payload = fields.object(PAYLOAD)?.unwrap_or_default();
        let text = |key: &str| {
            let text = payload.get(key).and_then(Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let coordinate = |key: &str| payload.get("position")?.get(key)?.as_f64();
        let position = coordinate("x").zip(coordinate("y"));
        let bounded = |name, text: Option<String>| {
            text.map(|text| bounded_text(name, &text, MAX_REASON_CHARS)).transpose()
        };
        let source = text("source").filter(|source| source != "operator" && source != "system");
        Ok(Self {
            source: bounded("payload.source", source)?,
            reason: bounded("payload.reason", text("reason"))?,
            at: text(at).and_then(|text| Timestamp::parse(&text)),
            position: position.map(|(x, y)| SentPosition { x, y }),
            metadata: payload.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
            cause: fields.trimmed_text(CAUSATION_ID)?,
        })
    }
}

/// `POST /v1/commands/enter`: an actor enters a room.
pub type Enter = ActorCommand<EnterAction>;

/// How an actor enters.
pub struct EnterAction(TransitionDetails);

impl Action for EnterAction {
    const LABEL: &'static str = "enter";
    const KEY_SCOPE: &'static str = "/v1/commands/enter";
    const CAPABILITY: Capability = Capability::EnterLeave;
    const PRESENCE_EFFECT: PresenceEffect = PresenceEffect::Entered;

    fn read(fields: &Fields, _: &Rules) -> Result<Self, DomainError> {
        TransitionDetails::read(fields, "enteredAt").map(Self)
    }

    fn reads(&self, actor: &ActorInRoom) -> Vec<Query> {
        vec![Query::one::<Position>(actor.key())]
    }

    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        let Self(details) = self;
        let payload = AgentEntered {
            source: details.source.clone().unwrap_or_else(|| "agent".to_owned()),
            reason: details.reason.clone().unwrap_or_else(|| "manual_enter".to_owned()),
            entered_at: details.at.unwrap_or(ctx.now),
            position: details.position,
            metadata: details.metadata.clone(),
        };
        let entered = ctx.append(actor, &payload, details.cause.as_deref())?;
        set_position(ctx, actor, details.position.map_or(SPAWN, Point::nearest))?;
        Ok(entered)
    }
}

/// `POST /v1/commands/leave`: an actor leaves a room. Never moderated, and possible in a paused room.
pub type Leave = ActorCommand<LeaveAction>;

/// How an actor leaves.
pub struct LeaveAction(TransitionDetails);

impl Action for LeaveAction {
    const LABEL: &'static str = "leave";
    const KEY_SCOPE: &'static str = "/v1/commands/leave";
    const CAPABILITY: Capability = Capability::EnterLeave;
    const PRESENCE_EFFECT: PresenceEffect = PresenceEffect::Left;
    const IS_ALWAYS_ALLOWED: bool = true;

    fn read(fields: &Fields, _: &Rules) -> Result<Self, DomainError> {
        TransitionDetails::read(fields, "leftAt").map(Self)
    }

    fn reads(&self, actor: &ActorInRoom) -> Vec<Query> {
        vec![Query::one::<Position>(actor.key())]
    }

    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        let Self(details) = self;
        let payload = AgentLeft {
            source: details.source.clone().unwrap_or_else(|| "agent".to_owned()),
            reason: details.reason.clone().unwrap_or_else(|| "manual_leave".to_owned()),
            left_at: details.at.unwrap_or(ctx.now),
            forced: false,
            operator_id: None,
            metadata: details.metadata.clone(),
        };
        let left = ctx.append(actor, &payload, details.cause.as_deref())?;
        set_position(ctx, actor, SPAWN)?;
        Ok(left)
    }
}

/// The position of an actor; [`SPAWN`] if it has none.
///
/// # Errors
/// [`CommandError::Load`] the actor's [`Position`].
pub fn position_of(ctx: &CommandContext<'_>, actor: &ActorInRoom) -> Result<Point, CommandError> {
    Ok(ctx.get::<Position>(actor.key())?.map_or(SPAWN, |position| position.point))
}

/// Sets the position of an actor. Nothing is written if it is there already; no record means [`SPAWN`].
///
/// # Errors
/// [`CommandError::Load`] the actor's [`Position`].
pub fn set_position(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    point: Point,
) -> Result<(), CommandError> {
    if position_of(ctx, actor)? == point {
        return Ok(());
    }
    if point == SPAWN {
        ctx.delete::<Position>(actor.key());
        return Ok(());
    }
    let ActorInRoom { tenant_id, room_id, actor_id } = actor.clone();
    ctx.put(&Position { tenant_id, room_id, actor_id, point });
    Ok(())
}
