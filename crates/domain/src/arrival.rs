//! Entering and leaving a room.

use serde_json::Value;

use crate::{
    act::{self, Act, Done},
    actor::ActorInRoom,
    command::{Command, Halt, Moment, Reply},
    event::payload::{AgentEntered, AgentLeft, SentPosition},
    fields::Fields,
    moderation::{Action, Source},
    policy::Capability,
    position::{Point, Position, SPAWN},
    record::Query,
    refusal::Refusal,
    time::Timestamp,
};

const MAX_REASON_CHARS: usize = 1_000;

/// What the `payload` of an arrival or a departure may say.
struct Manner {
    source: Option<String>,
    reason: Option<String>,
    at: Option<Timestamp>,
    position: Option<SentPosition>,
    metadata: serde_json::Map<String, Value>,
    cause: Option<String>,
}

impl Manner {
    /// Whatever of the payload is not of its type counts as not sent. Nobody but an operator speaks for one.
    fn read(fields: &Fields, at: &str) -> Result<Self, Refusal> {
        let payload = fields.object("payload")?.unwrap_or_default();
        let text = |key: &str| {
            let text = payload.get(key).and_then(Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let coordinate = |key: &str| payload.get("position")?.get(key)?.as_f64();
        let position = coordinate("x").zip(coordinate("y"));
        let source = text("source").filter(|source| source != "operator");
        Ok(Self {
            source: act::bounded_text("payload.source", source, MAX_REASON_CHARS)?,
            reason: act::bounded_text("payload.reason", text("reason"), MAX_REASON_CHARS)?,
            at: text(at).and_then(|text| Timestamp::parse(&text)),
            position: position.map(|(x, y)| SentPosition { x, y }),
            metadata: payload.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
            cause: act::causation(fields)?,
        })
    }
}

/// `POST /v1/commands/enter`: an actor comes into a room.
pub struct Enter {
    act: Act,
    manner: Result<Manner, Refusal>,
}

impl Enter {
    /// Reads the body.
    ///
    /// # Errors
    /// What identifies the actor does not hold; other fields are refused when their turn comes.
    pub fn read(fields: &Fields) -> Result<Self, Refusal> {
        let act = Act::read(fields, "enter", Capability::EnterLeave)?;
        Ok(Self { act, manner: Manner::read(fields, "enteredAt") })
    }

    /// Who enters.
    pub fn actor(&self) -> &ActorInRoom {
        &self.act.actor
    }
}

impl Command for Enter {
    fn reads(&self) -> Vec<Query> {
        let mut reads = self.act.reads();
        reads.push(Query::one::<Position>(self.act.actor.key()));
        reads
    }

    fn decide(&self, moment: &mut Moment<'_>) -> Result<Reply, Halt> {
        self.act.permit(moment)?;
        let manner = self.manner.as_ref().map_err(Clone::clone)?;
        let action = Action { label: self.act.label, text: None, source: Source::Api };
        moment.moderate(&self.act.actor, &action)?;
        let payload = AgentEntered {
            source: manner.source.clone().unwrap_or_else(|| "agent".to_owned()),
            reason: manner.reason.clone().unwrap_or_else(|| "manual_enter".to_owned()),
            entered_at: manner.at.unwrap_or(moment.now),
            position: manner.position,
            metadata: manner.metadata.clone(),
        };
        let entered = moment.append(&self.act.actor, &payload, manner.cause.as_deref())?;
        moment.step_appended(&entered);
        stand(moment, &self.act.actor, manner.position.map_or(SPAWN, Point::nearest))?;
        self.act.finish(moment, entered, Done::Entered)
    }
}

/// `POST /v1/commands/leave`: an actor goes. Never moderated, and possible in a paused room.
pub struct Leave {
    act: Act,
    manner: Result<Manner, Refusal>,
}

impl Leave {
    /// Reads the body.
    ///
    /// # Errors
    /// What identifies the actor does not hold; other fields are refused when their turn comes.
    pub fn read(fields: &Fields) -> Result<Self, Refusal> {
        let act = Act::read(fields, "leave", Capability::EnterLeave)?;
        Ok(Self { act, manner: Manner::read(fields, "leftAt") })
    }

    /// Who leaves.
    pub fn actor(&self) -> &ActorInRoom {
        &self.act.actor
    }
}

impl Command for Leave {
    fn reads(&self) -> Vec<Query> {
        let mut reads = self.act.reads();
        reads.push(Query::one::<Position>(self.act.actor.key()));
        reads
    }

    fn decide(&self, moment: &mut Moment<'_>) -> Result<Reply, Halt> {
        self.act.permit(moment)?;
        let manner = self.manner.as_ref().map_err(Clone::clone)?;
        let payload = AgentLeft {
            source: manner.source.clone().unwrap_or_else(|| "agent".to_owned()),
            reason: manner.reason.clone().unwrap_or_else(|| "manual_leave".to_owned()),
            left_at: manner.at.unwrap_or(moment.now),
            forced: false,
            operator_id: None,
            metadata: manner.metadata.clone(),
        };
        let left = moment.append(&self.act.actor, &payload, manner.cause.as_deref())?;
        moment.step_appended(&left);
        stand(moment, &self.act.actor, SPAWN)?;
        self.act.finish(moment, left, Done::Left)
    }
}

/// Where an actor stands; at [`SPAWN`] if it never moved.
///
/// # Errors
/// [`Halt::Needs`] the actor's [`Position`].
pub fn standing(moment: &Moment<'_>, actor: &ActorInRoom) -> Result<Point, Halt> {
    Ok(moment.get::<Position>(actor.key())?.map_or(SPAWN, |position| position.point))
}

/// Puts an actor somewhere; nothing is written if it stands there already, and no record means [`SPAWN`].
///
/// # Errors
/// [`Halt::Needs`] the actor's [`Position`].
pub fn stand(moment: &mut Moment<'_>, actor: &ActorInRoom, point: Point) -> Result<(), Halt> {
    if standing(moment, actor)? == point {
        return Ok(());
    }
    if point == SPAWN {
        moment.delete::<Position>(actor.key());
        return Ok(());
    }
    let ActorInRoom { tenant_id, room_id, actor_id } = actor.clone();
    moment.put(&Position { tenant_id, room_id, actor_id, point });
    Ok(())
}
