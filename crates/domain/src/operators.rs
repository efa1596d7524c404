//! Overrides by operators: pausing a room, muting actors, and removing them from a room.

pub mod audit;
pub mod events;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use self::audit::{AuditEntry, AuditInput, AuditVerdict};
use self::events::{OperatorOverrideApplied, OverrideSummary};
use crate::inbox::UnreadCount;
use crate::kernel::{
    ActorId, ActorInRoom, Command, CommandContext, CommandError, CorrelationId, DomainError, EmittedEvent,
    Field, Fields, METADATA, Query, REQUIRED_ROOM_ID, Reply, RoomId, Success, TenantId, Timestamp, too_large,
};
use crate::permissions::{self, Capability, Mute, RoomOverride};
use crate::presence::events::AgentLeft;
use crate::presence::position::{Position, SPAWN};
use crate::presence::{self, ChangeReason, arrival};

const MAX_REASON_CHARS: usize = 1_000;
const OPERATOR_ID: Field =
    Field::new("operatorId", "The operator that acts. It needs canModerate in the room.", "Nova");
const ACTION: Field = Field::new("action", "What the operator does.", "mute_agent");
const TARGET_ACTOR_ID: Field = Field::new(
    "targetActorId",
    "The actor that the operator acts on; required unless the action is about the whole room.",
    "Kai",
)
.in_example();
const REASON: Field =
    Field::new("reason", "Why; for the audit trail and the actors in the room.", "Too loud.")
        .up_to(MAX_REASON_CHARS)
        .in_example();
/// The most actors that are muted in a room: every command there looks at the list.
pub const MAX_MUTED: usize = 1_000;
/// The default reason of a forced leave.
const FORCED: &str = "operator_force_leave";

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAction {
    /// No actor may act in the room.
    PauseRoom,
    /// Actors may act again.
    ResumeRoom,
    /// An actor may not speak in the room.
    MuteAgent,
    /// It may again.
    UnmuteAgent,
    /// An actor is removed from the room. It may come back.
    ForceLeave,
}

impl OperatorAction {
    /// The names of the actions, in the order of the documentation.
    pub const NAMES: [(&str, Self); 5] = [
        ("pause_room", Self::PauseRoom),
        ("resume_room", Self::ResumeRoom),
        ("mute_agent", Self::MuteAgent),
        ("unmute_agent", Self::UnmuteAgent),
        ("force_leave", Self::ForceLeave),
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PauseRoom => "pause_room",
            Self::ResumeRoom => "resume_room",
            Self::MuteAgent => "mute_agent",
            Self::UnmuteAgent => "unmute_agent",
            Self::ForceLeave => "force_leave",
        }
    }

    const fn needs_target(self) -> bool {
        matches!(self, Self::MuteAgent | Self::UnmuteAgent | Self::ForceLeave)
    }
}

/// The overrides of a room as they are shown, set or not.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverrideState {
    tenant_id: TenantId,
    room_id: RoomId,
    /// Whether the room is paused.
    room_paused: bool,
    /// The operator that paused the room; null if it is not paused.
    paused_by: Option<ActorId>,
    /// Why the room is paused; null if it is not, or no reason was given.
    pause_reason: Option<String>,
    /// When the room was paused; null if it is not paused.
    paused_at: Option<Timestamp>,
    /// When the room was last resumed; null: never.
    resumed_at: Option<Timestamp>,
    /// The muted actors, each with its operator, time and reason.
    muted_actors: BTreeMap<ActorId, Mute>,
    /// The actors that are muted.
    muted_actor_ids: Vec<ActorId>,
    /// Free data of the operator that acted last.
    metadata: Map<String, Value>,
    /// When the record was created; null if it never was.
    created_at: Option<Timestamp>,
    /// When the record was last changed; null: never.
    updated_at: Option<Timestamp>,
}

impl From<RoomOverride> for OverrideState {
    fn from(set: RoomOverride) -> Self {
        let muted_actor_ids = set.muted_actors.keys().cloned().collect();
        Self {
            tenant_id: set.tenant_id,
            room_id: set.room_id,
            room_paused: set.room_paused,
            paused_by: set.paused_by,
            pause_reason: set.pause_reason,
            paused_at: set.paused_at,
            resumed_at: set.resumed_at,
            muted_actors: set.muted_actors,
            muted_actor_ids,
            metadata: set.metadata,
            created_at: Some(set.created_at),
            updated_at: Some(set.updated_at),
        }
    }
}

impl OverrideState {
    /// The state of a room in which no operator has done anything.
    pub fn none(tenant_id: TenantId, room_id: RoomId) -> Self {
        let blank = RoomOverride::none(tenant_id, room_id, Timestamp::default());
        Self { created_at: None, updated_at: None, ..blank.into() }
    }
}

/// `POST /v1/operator/overrides`: an operator acts on a room, or on an actor in it.
pub struct ApplyOverride {
    operator: ActorInRoom,
    action: OperatorAction,
    target: Option<ActorId>,
    reason: Option<String>,
    metadata: Map<String, Value>,
}

/// What an operator did.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedOverride {
    /// What the operator did.
    action: OperatorAction,
    /// The operator.
    operator_id: ActorId,
    /// The actor it acted on; null: the whole room.
    target_actor_id: Option<ActorId>,
    /// Why; null if the operator gave no reason.
    reason: Option<String>,
    /// Free data of the operator.
    metadata: Map<String, Value>,
    /// When the operator acted.
    at: Timestamp,
}

/// The answer to an [`ApplyOverride`].
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyOverrideResponse {
    /// The overrides of the room.
    #[serde(rename = "override")]
    state: OverrideState,
    /// What was done.
    action: AppliedOverride,
    /// The audit entry of this action.
    audit: AuditEntry,
    /// Every event of this request, in order.
    emitted_events: Vec<EmittedEvent>,
    correlation_id: CorrelationId,
}

impl ApplyOverride {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is not valid, in the order in which they are read.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let operator = ActorInRoom {
            tenant_id: fields.tenant_or_default()?,
            room_id: fields.required_room(REQUIRED_ROOM_ID)?,
            actor_id: fields.required_actor(OPERATOR_ID)?,
        };
        let action = fields.one_of(ACTION, &OperatorAction::NAMES)?;
        let target = fields.actor(TARGET_ACTOR_ID)?;
        if action.needs_target() && target.is_none() {
            return Err(TARGET_ACTOR_ID.missing());
        }
        Ok(Self {
            operator,
            action,
            target,
            reason: fields.trimmed_text(REASON)?,
            metadata: fields.object(METADATA)?.unwrap_or_default(),
        })
    }

    /// The operator, in the room it acts on.
    pub fn operator(&self) -> &ActorInRoom {
        &self.operator
    }

    /// What it does.
    pub fn action(&self) -> OperatorAction {
        self.action
    }

    /// On whom.
    pub fn target(&self) -> Option<&ActorId> {
        self.target.as_ref()
    }

    fn target_in_room(&self) -> Option<ActorInRoom> {
        let actor_id = self.target.clone()?;
        Some(ActorInRoom { actor_id, ..self.operator.clone() })
    }

    fn audit_input(&self) -> AuditInput<'_> {
        AuditInput {
            tenant_id: &self.operator.tenant_id,
            room_id: &self.operator.room_id,
            operator_id: &self.operator.actor_id,
            action: self.action.as_str(),
            target_actor_id: self.target.as_ref(),
            reason: self.reason.as_deref(),
            metadata: &self.metadata,
        }
    }

    /// The room's overrides after this action. What a pause said goes when the room is resumed; the audit trail keeps it.
    fn apply(&self, mut state: RoomOverride, now: Timestamp) -> Result<RoomOverride, DomainError> {
        let operator = &self.operator.actor_id;
        match (self.action, &self.target) {
            (OperatorAction::PauseRoom, _) => {
                state.room_paused = true;
                state.paused_by = Some(operator.clone());
                state.pause_reason = self.reason.clone();
                state.paused_at = Some(now);
                state.resumed_at = None;
            }
            (OperatorAction::ResumeRoom, _) => {
                state.room_paused = false;
                (state.paused_by, state.pause_reason, state.paused_at) = (None, None, None);
                state.resumed_at = Some(now);
            }
            (OperatorAction::MuteAgent, Some(target)) => {
                let mute = Mute {
                    actor_id: target.clone(),
                    muted_by: operator.clone(),
                    muted_at: now,
                    reason: self.reason.clone(),
                };
                state.muted_actors.insert(target.clone(), mute);
            }
            (OperatorAction::UnmuteAgent, Some(target)) => {
                state.muted_actors.remove(target);
            }
            _ => {}
        }
        if state.muted_actors.len() > MAX_MUTED {
            return Err(too_large("mutedActors", MAX_MUTED, state.muted_actors.len(), "members"));
        }
        state.metadata = self.metadata.clone();
        state.updated_at = now;
        Ok(state)
    }

    fn event(&self, state: &RoomOverride) -> OperatorOverrideApplied {
        OperatorOverrideApplied {
            action: self.action.as_str().to_owned(),
            target_actor_id: self.target.clone(),
            reason: self.reason.clone(),
            metadata: self.metadata.clone(),
            override_state: OverrideSummary {
                room_paused: state.room_paused,
                paused_by: state.paused_by.clone(),
                muted_actor_ids: state.muted_actors.keys().cloned().collect(),
            },
        }
    }

    /// Removes the target from the room, because of `applied`, whether it is present or not.
    fn send_away(
        &self,
        ctx: &mut CommandContext<'_>,
        target: &ActorInRoom,
        applied: &EmittedEvent,
    ) -> Result<(), CommandError> {
        let operator = &self.operator.actor_id;
        let left = AgentLeft {
            source: "operator".to_owned(),
            reason: self.reason.clone().unwrap_or_else(|| FORCED.to_owned()),
            left_at: ctx.now,
            forced: true,
            operator_id: Some(operator.clone()),
            metadata: Map::new(),
        };
        let left = ctx.append(target, &left, Some(&applied.cause()))?;
        let why = ChangeReason { reason: FORCED, source: "operator", operator: Some(operator) };
        presence::set_inactive(ctx, target, why, Some(&left.cause()))?;
        arrival::set_position(ctx, target, SPAWN)
    }
}

impl Command for ApplyOverride {
    fn reads(&self) -> Vec<Query> {
        let own = permissions::reads(&self.operator);
        let target = self.target_in_room();
        let unread = target.iter().map(|target| Query::one::<UnreadCount>(target.key()));
        let sent_away = target.iter().filter(|_| self.action == OperatorAction::ForceLeave);
        let sent_away =
            sent_away.flat_map(|target| [presence::read(target), Query::one::<Position>(target.key())]);
        own.into_iter().chain(unread).chain(sent_away).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let label = self.action.as_str();
        let checked = permissions::require(ctx, &self.operator, Capability::Moderate, label);
        audit::unless_denied(ctx, checked, &self.audit_input())?;
        let ActorInRoom { tenant_id, room_id, .. } = self.operator.clone();
        let previous: Option<RoomOverride> = ctx.get(self.operator.room_key())?;
        let state = previous.unwrap_or_else(|| RoomOverride::none(tenant_id, room_id, ctx.now));
        let state = self.apply(state, ctx.now)?;
        ctx.put(&state);
        let applied = ctx.append(&self.operator, &self.event(&state), None)?;
        let audit = audit::record(ctx, &self.audit_input(), AuditVerdict::Applied, Some(applied.event_id));
        if self.action == OperatorAction::ForceLeave
            && let Some(target) = self.target_in_room()
        {
            self.send_away(ctx, &target, &applied)?;
        }
        let answer = ApplyOverrideResponse {
            state: state.into(),
            action: AppliedOverride {
                action: self.action,
                operator_id: self.operator.actor_id.clone(),
                target_actor_id: self.target.clone(),
                reason: self.reason.clone(),
                metadata: self.metadata.clone(),
                at: ctx.now,
            },
            audit,
            emitted_events: ctx.emitted(),
            correlation_id: ctx.correlation_id.clone(),
        };
        Ok(Reply::new(Success::Accepted, &answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kernel::Code;

    fn operate(action: &str, target: Option<&str>, reason: Option<&str>) -> ApplyOverride {
        let body = json!({"roomId": "main", "operatorId": "Op", "action": action, "targetActorId": target,
            "reason": reason, "metadata": {"why": action}});
        ApplyOverride::read(&Fields::of_body(body.as_object().cloned().unwrap())).unwrap()
    }

    /// What each action does to the state that the ones before it left.
    #[test]
    fn actions_change_the_state() {
        let at = Timestamp::from_millis;
        let mut state = RoomOverride::none(TenantId::default(), RoomId::main(), at(0));
        let cases = [
            ("pause_room", None, Some("fire"), json!([true, "Op", "fire", at(1), null, []])),
            ("pause_room ", None, None, json!([true, "Op", null, at(2), null, []])),
            ("mute_agent", Some("Kai"), Some("loud"), json!([true, "Op", null, at(2), null, ["Kai"]])),
            (
                "mute_agent",
                Some("constructor"),
                None,
                json!([true, "Op", null, at(2), null, ["Kai", "constructor"]]),
            ),
            (
                "resume_room",
                None,
                Some("over"),
                json!([false, null, null, null, at(5), ["Kai", "constructor"]]),
            ),
            (
                "unmute_agent",
                Some("nobody"),
                None,
                json!([false, null, null, null, at(5), ["Kai", "constructor"]]),
            ),
            ("unmute_agent", Some("Kai"), None, json!([false, null, null, null, at(5), ["constructor"]])),
            ("force_leave", Some("Kai"), None, json!([false, null, null, null, at(5), ["constructor"]])),
            ("pause_room", None, None, json!([true, "Op", null, at(9), null, ["constructor"]])),
        ];
        for (step, (action, target, reason, want)) in cases.into_iter().enumerate() {
            let now = at(i64::try_from(step).unwrap() + 1);
            state = operate(action, target, reason).apply(state, now).unwrap();
            let shown = json!(OverrideState::from(state.clone()));
            let names = ["roomPaused", "pausedBy", "pauseReason", "pausedAt", "resumedAt", "mutedActorIds"];
            assert_eq!(json!(names.map(|name| shown[name].clone())), want, "{step}: {action}");
            assert_eq!((&shown["metadata"], &shown["updatedAt"]), (&json!({"why": action}), &json!(now)));
        }
    }

    /// A room has a largest number of muted actors; muting one of them again, or fewer, stays possible.
    #[test]
    fn muted_actors_are_bounded() {
        let at = Timestamp::from_millis(0);
        let mut state = RoomOverride::none(TenantId::default(), RoomId::main(), at);
        for n in 0..MAX_MUTED {
            state = operate("mute_agent", Some(&format!("a{n}")), None).apply(state, at).unwrap();
        }
        let error = operate("mute_agent", Some("one more"), None).apply(state.clone(), at).unwrap_err();
        assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_MUTED)));
        for (action, target) in [("mute_agent", "a0"), ("unmute_agent", "a1"), ("force_leave", "one more")] {
            assert!(operate(action, Some(target), None).apply(state.clone(), at).is_ok(), "{action}");
        }
    }
}
