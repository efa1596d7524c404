//! Permissions in a room: the capabilities of actors, and the overrides of operators.

pub mod grant;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{
    ActorId, ActorInRoom, Authority, Code, CommandContext, CommandError, DomainError, Query, RoomId,
    TenantId, Timestamp, record, rule_set, wire_enum,
};

/// The actors that may grant permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PermissionsMode {
    /// Any caller with the token.
    #[default]
    Open,
    /// Operators of the room; any caller may grant the first one in a room.
    Strict,
}
rule_set!(PermissionsMode);

wire_enum! {
    /// A thing that an actor may or may not do in a room.
    pub enum Capability {
        /// Move, and carry out intents.
        Move = "canMove",
        /// Say things.
        Speak = "canSpeak",
        /// Order things.
        Order = "canOrder",
        /// Enter and leave.
        EnterLeave = "canEnterLeave",
        /// Pin the context, and act as an operator.
        Moderate = "canModerate",
        /// Mention everybody in the room at once.
        MentionRoom = "canMentionRoom",
    }
}

/// What an actor may do in a room. Without a record: everything but moderate, and mention everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor.
    pub actor_id: ActorId,
    /// Whether the actor may move and execute intents.
    pub can_move: bool,
    /// Whether the actor may speak.
    pub can_speak: bool,
    /// Whether the actor may order.
    pub can_order: bool,
    /// Whether the actor may enter and leave.
    pub can_enter_leave: bool,
    /// Whether the actor may pin the context and act as an operator.
    pub can_moderate: bool,
    /// Whether the actor may mention everybody in the room, with `@here` and `@room`.
    #[serde(default)]
    pub can_mention_room: bool,
    /// When the permission was first set; null if it never was.
    pub created_at: Option<Timestamp>,
    /// When the permission was last set; null if it never was.
    pub updated_at: Option<Timestamp>,
}

impl Permission {
    /// The permission of an actor for which none was set.
    pub fn default_of(actor: &ActorInRoom) -> Self {
        let ActorInRoom { tenant_id, room_id, actor_id } = actor.clone();
        Self {
            tenant_id,
            room_id,
            actor_id,
            can_move: true,
            can_speak: true,
            can_order: true,
            can_enter_leave: true,
            can_moderate: false,
            can_mention_room: false,
            created_at: None,
            updated_at: None,
        }
    }

    /// Gives a capability, or takes it.
    pub const fn set(&mut self, capability: Capability, may: bool) {
        match capability {
            Capability::Move => self.can_move = may,
            Capability::Speak => self.can_speak = may,
            Capability::Order => self.can_order = may,
            Capability::EnterLeave => self.can_enter_leave = may,
            Capability::Moderate => self.can_moderate = may,
            Capability::MentionRoom => self.can_mention_room = may,
        }
    }

    /// Whether the actor may.
    pub const fn allows(&self, capability: Capability) -> bool {
        match capability {
            Capability::Move => self.can_move,
            Capability::Speak => self.can_speak,
            Capability::Order => self.can_order,
            Capability::EnterLeave => self.can_enter_leave,
            Capability::Moderate => self.can_moderate,
            Capability::MentionRoom => self.can_mention_room,
        }
    }
}

record!(Permission in "permissions" as permission: [tenant_id, room_id, actor_id]
    updated_at = permission.updated_at.unwrap_or_default());

/// An actor that may not speak in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mute {
    /// Who.
    pub actor_id: ActorId,
    /// By whom.
    pub muted_by: ActorId,
    /// Since when.
    pub muted_at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// What operators have set for a room. Without a record: nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomOverride {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// Whether the room is paused: no actor may act.
    pub room_paused: bool,
    /// The operator that paused it.
    pub paused_by: Option<ActorId>,
    /// Why.
    pub pause_reason: Option<String>,
    /// When.
    pub paused_at: Option<Timestamp>,
    /// When it was last resumed.
    pub resumed_at: Option<Timestamp>,
    /// The actors that may not speak.
    pub muted_actors: BTreeMap<ActorId, Mute>,
    /// What the last action said.
    pub metadata: Map<String, Value>,
    /// When it was first set.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

record!(RoomOverride in "room_overrides": [tenant_id, room_id] updated_at);

/// What both checks read.
pub fn reads(actor: &ActorInRoom) -> [Query; 2] {
    [Query::one::<Permission>(actor.key()), Query::one::<RoomOverride>(actor.room_key())]
}

/// Checks that the actor has a capability in the room.
///
/// # Errors
/// `ERR_FORBIDDEN {tenantId, roomId, actorId, capability, action}`.
pub fn require(
    ctx: &CommandContext<'_>,
    actor: &ActorInRoom,
    capability: Capability,
    action: &str,
) -> Result<(), CommandError> {
    let permission: Option<Permission> = ctx.get(actor.key())?;
    Ok(granted(permission.as_ref(), actor, capability, action)?)
}

/// Checks that a caller with this authority acts as an operator of the room: with an API key, the key needs the scope
/// `operate` and the actor the capability `canModerate`.
///
/// # Errors
/// As [`require`].
pub fn require_operator(
    ctx: &CommandContext<'_>,
    authority: Authority,
    actor: &ActorInRoom,
    action: &str,
) -> Result<(), CommandError> {
    match authority {
        Authority::Admin => Ok(()),
        Authority::Operator => require(ctx, actor, Capability::Moderate, action),
        Authority::Actor => Err(not_granted(actor, Capability::Moderate, action).into()),
    }
}

/// Checks that this permission gives the actor a capability.
///
/// # Errors
/// As [`require`].
pub fn granted(
    permission: Option<&Permission>,
    actor: &ActorInRoom,
    capability: Capability,
    action: &str,
) -> Result<(), DomainError> {
    if allows(permission, capability) {
        return Ok(());
    }
    Err(not_granted(actor, capability, action))
}

/// Whether an actor with this permission has a capability.
pub fn allows(permission: Option<&Permission>, capability: Capability) -> bool {
    let by_default = || !matches!(capability, Capability::Moderate | Capability::MentionRoom);
    permission.map_or_else(by_default, |given| given.allows(capability))
}

/// The error of an action whose capability the actor does not have.
pub fn not_granted(actor: &ActorInRoom, capability: Capability, action: &str) -> DomainError {
    let error = DomainError::new(Code::Forbidden).saying(format!("{} is not granted", capability.as_str()));
    actor.describe(error).with("capability", capability.as_str()).with("action", action)
}

/// Checks that no operator keeps the actor from this action.
///
/// # Errors
/// `ERR_OPERATOR_OVERRIDE_BLOCKED {tenantId, roomId, actorId, action, reasonCode, …}`.
pub fn not_overridden(
    ctx: &CommandContext<'_>,
    actor: &ActorInRoom,
    action: &str,
) -> Result<(), CommandError> {
    let Some(state) = ctx.get::<RoomOverride>(actor.room_key())? else { return Ok(()) };
    Ok(state.permits(actor, action)?)
}

impl RoomOverride {
    /// The state of a room without overrides.
    pub fn none(tenant_id: TenantId, room_id: RoomId, now: Timestamp) -> Self {
        Self {
            tenant_id,
            room_id,
            room_paused: false,
            paused_by: None,
            pause_reason: None,
            paused_at: None,
            resumed_at: None,
            muted_actors: BTreeMap::new(),
            metadata: Map::new(),
            created_at: now,
            updated_at: now,
        }
    }

    fn permits(&self, actor: &ActorInRoom, action: &str) -> Result<(), DomainError> {
        let blocked = |reason: &str| {
            actor
                .describe(DomainError::new(Code::OperatorOverrideBlocked))
                .with("action", action)
                .with("reasonCode", reason)
        };
        if self.room_paused && action != "leave" {
            return Err(blocked("ROOM_PAUSED")
                .with("pausedBy", self.paused_by.as_ref().map(ActorId::as_str))
                .with("pausedAt", self.paused_at.map(|at| at.to_string())));
        }
        let speaks = matches!(action, "say" | "conversation_message");
        if let Some(mute) = self.muted_actors.get(&actor.actor_id).filter(|_| speaks) {
            return Err(blocked("ACTOR_MUTED")
                .with("mutedBy", mute.muted_by.as_str())
                .with("mutedAt", mute.muted_at.to_string())
                .with("reason", mute.reason.clone()));
        }
        Ok(())
    }
}
