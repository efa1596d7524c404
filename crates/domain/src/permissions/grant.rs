//! Granting and revoking capabilities, and how an actor's permission is shown.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::actors;
use crate::kernel::{
    ActorId, ActorInRoom, Authority, Code, Command, CommandContext, CommandError, DomainError, Field, Fields,
    Query, REQUIRED_ROOM_ID, RecordQuery, Reply, Success, response,
};
use crate::operators::audit::{self, AuditEntry, AuditInput, AuditVerdict};
use crate::permissions::{self, Capability, Permission, PermissionsMode};
use crate::rooms::Room;

const ACTOR_ID: Field = Field::new("actorId", "The actor whose capabilities are set.", "Kai");
const OPERATOR_ID: Field = Field::new(
    "operatorId",
    "The actor that sets them. With an API key or PERMISSIONS_MODE=strict it needs canModerate in the room.",
    "Nova",
)
.of_caller();

/// The field that sets a capability.
const fn field_of(capability: Capability) -> Field {
    let meaning = match capability {
        Capability::Move => "Whether the actor may move and execute intents.",
        Capability::Speak => "Whether the actor may speak.",
        Capability::Order => "Whether the actor may order.",
        Capability::EnterLeave => "Whether the actor may enter and leave.",
        Capability::Moderate => "Whether the actor may pin the context and act as an operator.",
        Capability::MentionRoom => {
            "Whether the actor may mention everybody in the room, with @here and @room."
        }
    };
    let field = Field::new(capability.as_str(), meaning, "true");
    if matches!(capability, Capability::Speak) { field.in_example() } else { field }
}

/// What the audit trail calls it.
const ACTION: &str = "permission_grant";
/// Who grants without an operator and without an API key, as the audit trail names it.
const ANONYMOUS: &str = "anonymous";

/// Where an actor's permission comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermissionSource {
    /// None was set: it is the default.
    Default,
    /// It was set.
    Custom,
}

/// What an actor may do in a room, granted or not.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePermission {
    #[serde(flatten)]
    permission: Permission,
    /// Whether the permission was set or is the default.
    source: PermissionSource,
}

impl From<Permission> for EffectivePermission {
    fn from(permission: Permission) -> Self {
        Self { permission, source: PermissionSource::Custom }
    }
}

impl EffectivePermission {
    /// The permission of an actor for which none was set.
    pub fn default_of(actor: &ActorInRoom) -> Self {
        Self { permission: Permission::default_of(actor), source: PermissionSource::Default }
    }
}

/// `POST /v1/permissions`: capabilities are granted to an actor in a room, or taken from it.
pub struct GrantPermission {
    actor: ActorInRoom,
    operator: Option<ActorId>,
    /// What the body sets, or why it is invalid; checked after the rights of the operator.
    granted: Result<Vec<(Capability, bool)>, DomainError>,
    authority: Authority,
}

response! {
    /// The answer to a [`GrantPermission`].
    GrantPermissionResponse {
        /// What the actor may do in the room.
        permission: EffectivePermission,
        /// The audit entry of this grant.
        audit: AuditEntry,
    }
}

/// A capability's value: `true` or `false`, and nothing that resembles them.
fn value(fields: &Fields, field: Field) -> Result<bool, DomainError> {
    match fields.flag(field)? {
        Some(may) => Ok(may),
        None if fields.is_describing() => Ok(false),
        None => Err(field.must_be("true or false")),
    }
}

impl GrantPermission {
    /// Reads the body.
    ///
    /// # Errors
    /// What identifies the actors does not hold, or no capability is named.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let actor = ActorInRoom {
            tenant_id: fields.tenant_or_default()?,
            room_id: fields.required_room(REQUIRED_ROOM_ID)?,
            actor_id: fields.required_actor(ACTOR_ID)?,
        };
        let operator = fields.actor(OPERATOR_ID)?;
        let names = Capability::NAMES.map(|(name, _)| name);
        if !names.iter().any(|name| fields.has(name)) {
            return Err(DomainError::new(Code::Validation)
                .saying(format!("no capability is named; name at least one of: {}", names.join(", ")))
                .with("fields", json!(names)));
        }
        let named = Capability::NAMES.into_iter().filter(|(name, _)| fields.has(name));
        let granted =
            named.map(|(_, capability)| Ok((capability, value(fields, field_of(capability))?))).collect();
        Ok(Self { actor, operator, granted, authority: fields.authority() })
    }

    /// The actor that gets it.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// The first grant of a room.
    fn first(&self) -> RecordQuery {
        RecordQuery::all::<Permission>("actor_id", 1)
            .is("tenant_id", &self.actor.tenant_id)
            .is("room_id", &self.actor.room_id)
    }

    /// The operator. If the request names none, the audit trail names the API key with which it came.
    fn operator(&self, ctx: &CommandContext<'_>) -> ActorInRoom {
        let key = || ctx.request.and_then(|request| request.by).map_or(ANONYMOUS, |by| &*by.key_id);
        let named = self.operator.clone();
        self.actor
            .with_actor(&named.unwrap_or_else(|| ActorId::parse(key()).expect("the id of a key is an id")))
    }

    /// Checks that the operator may grant. Operators of the room may. The first grant in a room may also come from its owner, or
    /// without an actor's API key; in open mode, so may all grants.
    fn may_grant(&self, ctx: &CommandContext<'_>, operator: &ActorInRoom) -> Result<(), CommandError> {
        let is_admin = self.authority == Authority::Admin;
        if is_admin && *ctx.rules.get::<PermissionsMode>() == PermissionsMode::Open {
            return Ok(());
        }
        if self.operator.is_some() {
            let permission: Option<Permission> = ctx.get(operator.key())?;
            if permissions::allows(permission.as_ref(), Capability::Moderate) {
                return Ok(());
            }
        }
        let owns_room = || -> Result<bool, CommandError> {
            let room: Option<Room> = ctx.get(self.actor.room_key())?;
            Ok(room.is_some_and(|room| room.owner_actor_id.as_ref() == Some(&operator.actor_id)))
        };
        if (is_admin || owns_room()?) && ctx.find::<Permission>(self.first())?.is_empty() {
            return Ok(());
        }
        let error = permissions::not_granted(operator, Capability::Moderate, ACTION);
        Err(error.saying("operatorId must be an actor with canModerate in this room").into())
    }
}

impl Command for GrantPermission {
    fn reads(&self) -> Vec<Query> {
        // Without an actor's API key, the operator is seldom looked at.
        let operator = self.operator.as_ref().filter(|_| self.authority < Authority::Admin);
        let operator =
            operator.map(|operator| Query::one::<Permission>(self.actor.with_actor(operator).key()));
        let actor = &self.actor;
        let target = [Query::one::<Permission>(actor.key()), actors::read(&actor.tenant_id, &actor.actor_id)];
        target.into_iter().chain(operator).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let operator = self.operator(ctx);
        let set = self.granted.iter().flatten();
        let metadata: Map<String, Value> =
            set.map(|(capability, may)| (capability.as_str().to_owned(), (*may).into())).collect();
        let input = AuditInput {
            tenant_id: &self.actor.tenant_id,
            room_id: &self.actor.room_id,
            operator_id: &operator.actor_id,
            action: ACTION,
            target_actor_id: Some(&self.actor.actor_id),
            reason: None,
            metadata: &metadata,
        };
        let checked = self.may_grant(ctx, &operator);
        audit::unless_denied(ctx, checked, &input)?;
        let granted = self.granted.as_ref().map_err(Clone::clone)?;
        let previous: Option<Permission> = ctx.get(self.actor.key())?;
        if previous.is_none() {
            actors::register(ctx, &self.actor.tenant_id, &self.actor.actor_id, ACTOR_ID.name)?;
        }
        let mut permission = previous.unwrap_or_else(|| Permission::default_of(&self.actor));
        granted.iter().for_each(|(capability, may)| permission.set(*capability, *may));
        permission.created_at.get_or_insert(ctx.now);
        permission.updated_at = Some(ctx.now);
        ctx.put(&permission);
        let audit = audit::record(ctx, &input, AuditVerdict::Applied, None);
        Ok(GrantPermissionResponse::reply(ctx, Success::Ok, permission.into(), audit))
    }
}
