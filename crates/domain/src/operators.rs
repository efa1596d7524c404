//! Overrides by operators: pausing a room, muting actors, and removing them from a room.

pub mod audit;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::audit::{AuditEntry, AuditInput, AuditVerdict};
use crate::inbox::UnreadCount;
use crate::kernel::{
    ActorId, ActorInRoom, Command, CommandContext, CommandError, DomainError, EmittedEvent, Field, Fields,
    METADATA, Notification, Query, REQUIRED_ROOM_ID, Reply, RoomId, Success, TenantId, Timestamp, payloads,
    response, too_large, wire_enum,
};
use crate::permissions::{self, Capability, Mute, RoomOverride};
use crate::presence::arrival::{self, AgentLeft};
use crate::presence::position::{Position, SPAWN};
use crate::presence::{self, ChangeReason};

const MAX_REASON_CHARS: usize = 1_000;
const OPERATOR_ID: Field =
    Field::new("operatorId", "The operator that acts. It needs canModerate in the room.", "Nova").of_caller();
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

wire_enum! {
    /// What an operator does.
    #[derive(JsonSchema)]
    pub enum OperatorAction {
        /// No actor may act in the room.
        PauseRoom = "pause_room",
        /// Actors may act again.
        ResumeRoom = "resume_room",
        /// An actor may not speak in the room.
        MuteAgent = "mute_agent",
        /// It may again.
        UnmuteAgent = "unmute_agent",
        /// An actor is removed from the room. It may come back.
        ForceLeave = "force_leave",
    }
}

impl OperatorAction {
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
    /// The state of a room without overrides.
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

response! {
    /// The answer to an [`ApplyOverride`].
    ApplyOverrideResponse + emitted_events {
        /// The overrides of the room.
        #[serde(rename = "override")]
        state: OverrideState,
        /// What was done.
        action: AppliedOverride,
        /// The audit entry of this action.
        audit: AuditEntry,
    }
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

    /// The action.
    pub fn action(&self) -> OperatorAction {
        self.action
    }

    /// The actor that it acts on.
    pub fn target(&self) -> Option<&ActorId> {
        self.target.as_ref()
    }

    fn target_in_room(&self) -> Option<ActorInRoom> {
        Some(self.operator.with_actor(self.target.as_ref()?))
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

    /// The room's overrides after this action. Resuming a room clears the details of its pause; the audit trail keeps them.
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
    fn remove_from_room(
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
        let removed = target.iter().filter(|_| self.action == OperatorAction::ForceLeave);
        let removed =
            removed.flat_map(|target| [presence::read(target), Query::one::<Position>(target.key())]);
        own.into_iter().chain(unread).chain(removed).collect()
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
            self.remove_from_room(ctx, &target, &applied)?;
        }
        let action = AppliedOverride {
            action: self.action,
            operator_id: self.operator.actor_id.clone(),
            target_actor_id: self.target.clone(),
            reason: self.reason.clone(),
            metadata: self.metadata.clone(),
            at: ctx.now,
        };
        Ok(ApplyOverrideResponse::reply(ctx, Success::Accepted, state.into(), action, audit))
    }
}

/// The overrides of a room after an operator acted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverrideSummary {
    /// Whether the room is paused.
    pub room_paused: bool,
    /// The operator who paused it.
    pub paused_by: Option<ActorId>,
    /// The actors that are muted.
    pub muted_actor_ids: Vec<ActorId>,
}

payloads! {
    /// An operator acted on a room or an actor.
    OperatorOverrideApplied {
        /// What the operator did.
        #[schemars(with = "OperatorAction")]
        action: String,
        /// The actor it acted on; null: the whole room.
        target_actor_id: Option<ActorId>,
        /// Why; null if the operator gave no reason.
        reason: Option<String>,
        /// Free data of the operator.
        metadata: Map<String, Value>,
        /// The overrides of the room after it.
        override_state: OverrideSummary,
    } => {
        fn notifications(&self) -> Vec<Notification> {
            let members = json!({
                "action": self.action,
                "targetActorId": self.target_actor_id,
                "reason": self.reason,
            });
            let target = self.target_actor_id.clone();
            target.map(|target| Notification::new("operator", target, members)).into_iter().collect()
        }
    }
}
