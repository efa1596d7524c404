//! What the agent commands have in common: who acts, what must be allowed, and what acting does to presence.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::{
    actor::ActorInRoom,
    command::{Halt, Moment, Reply, Success},
    event::{EmittedEvent, EventType},
    fields::Fields,
    ids::{ActorId, CorrelationId, RoomId, Sequence, TenantId},
    policy::{self, Capability},
    presence::{self, Presence, Reason, Status},
    record::Query,
    refusal::{Code, Refusal},
    trace::StepCode,
};

const MAX_CAUSATION_CHARS: usize = 128;

/// An agent's command: who acts, and under which label and capability.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who acts, where.
    pub actor: ActorInRoom,
    /// The action's label for overrides, moderation and the answer.
    pub label: &'static str,
    /// What the actor must be allowed to do.
    pub capability: Capability,
}

/// What acting did to the actor's presence.
pub enum Done {
    /// It came in.
    Entered,
    /// It is at work.
    Busy,
    /// It went.
    Left,
}

/// The answer to an agent's command.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandAccepted {
    accepted: bool,
    action: &'static str,
    event_id: uuid::Uuid,
    sequence: Sequence,
    correlation_id: CorrelationId,
    event_type: EventType,
    emitted_events: Vec<EmittedEvent>,
    presence: Option<Presence>,
    actor_id: ActorId,
    room_id: RoomId,
    tenant_id: TenantId,
}

/// Refuses a text that is longer than `max` characters.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, max, value}`.
pub fn bounded_text(field: &str, text: Option<String>, max: usize) -> Result<Option<String>, Refusal> {
    let chars = text.as_ref().map_or(0, |text| text.chars().count());
    if chars <= max {
        return Ok(text);
    }
    Err(Refusal::new(Code::OutOfBounds)
        .saying(format!("{field} has at most {max} characters"))
        .with("field", field)
        .with("max", max)
        .with("value", chars))
}

/// Reads the id of the event that a client says caused its command.
///
/// # Errors
/// `ERR_VALIDATION {field}`, `ERR_OUT_OF_BOUNDS {field, max, value}`.
pub fn causation(fields: &Fields) -> Result<Option<String>, Refusal> {
    bounded_text("causationId", fields.trimmed_text("causationId")?, MAX_CAUSATION_CHARS)
}

impl Act {
    /// Reads who acts.
    ///
    /// # Errors
    /// As [`ActorInRoom::read`].
    pub fn read(fields: &Fields, label: &'static str, capability: Capability) -> Result<Self, Refusal> {
        Ok(Self { actor: ActorInRoom::read(fields)?, label, capability })
    }

    /// What every such command reads.
    pub fn reads(&self) -> Vec<Query> {
        policy::reads(&self.actor).into_iter().chain([presence::read(&self.actor)]).collect()
    }

    /// Checks the capability, then the operators' overrides.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN`, `ERR_OPERATOR_OVERRIDE_BLOCKED`.
    pub fn permit(&self, moment: &Moment<'_>) -> Result<(), Halt> {
        policy::require(moment, &self.actor, self.capability, self.label)?;
        policy::not_overridden(moment, &self.actor, self.label)
    }

    /// Updates the actor's presence and renders the answer, naming `primary` as what was done.
    ///
    /// # Errors
    /// [`Halt::Needs`] what [`Act::reads`] names.
    pub fn finish(&self, moment: &mut Moment<'_>, primary: EmittedEvent, done: Done) -> Result<Reply, Halt> {
        let cause = primary.cause();
        let ttl_ms = moment.rules.presence_default_ttl_ms;
        let why = Reason::of_agent("command_activity");
        let presence = match done {
            Done::Entered => {
                Some(presence::heartbeat(moment, &self.actor, (Status::Idle, ttl_ms), why, Some(&cause))?)
            }
            Done::Busy => {
                Some(presence::heartbeat(moment, &self.actor, (Status::Busy, ttl_ms), why, Some(&cause))?)
            }
            Done::Left => {
                presence::set_inactive(moment, &self.actor, Reason::of_agent("agent_left"), Some(&cause))?
            }
        };
        moment.step(StepCode::EventAppendOk, json!({ "replay": false }));
        let answer = CommandAccepted {
            accepted: true,
            action: self.label,
            event_id: primary.event_id,
            sequence: primary.sequence,
            correlation_id: moment.correlation_id.clone(),
            event_type: primary.event_type,
            emitted_events: moment.emitted(),
            presence,
            actor_id: self.actor.actor_id.clone(),
            room_id: self.actor.room_id.clone(),
            tenant_id: self.actor.tenant_id.clone(),
        };
        Ok(Reply::new(Success::Accepted, &answer))
    }
}
