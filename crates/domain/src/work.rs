//! What tasks and shared objects have in common: the checks of access, and their limits.

use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Code, CommandContext, CommandError, DomainError, Field, Fields, Query,
    RoomId, TenantId,
};
use crate::permissions::{self, RoomOverride};
use crate::tables::access::{self, AccessRequirement};
use crate::tables::plan::Feature;

/// The longest title, and the longest key of an object, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// The longest description of a task or content of an object, in characters.
pub const MAX_CONTENT_CHARS: usize = 16_384;

/// A kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkPolicy {
    /// Its label.
    pub(crate) action: &'static str,
    /// What a private table's plan must include for it.
    pub(crate) feature: Feature,
}

impl WorkPolicy {
    /// Checks that the actor may do this in the room now.
    ///
    /// # Errors
    /// As [`access::check`], then as [`permissions::not_overridden`].
    pub(crate) fn allow(self, ctx: &CommandContext<'_>, actor: &ActorInRoom) -> Result<(), CommandError> {
        access::check(ctx, actor, AccessRequirement::new(self.action).with_feature(self.feature))?;
        permissions::not_overridden(ctx, actor, self.action)
    }
}

/// What [`WorkPolicy::allow`] always reads.
pub(crate) fn reads(actor: &ActorInRoom) -> Vec<Query> {
    vec![access::read(actor), Query::one::<RoomOverride>(actor.room_key())]
}

/// The actor that changes a record that the path names; the room is the record's.
#[derive(Clone, Debug)]
pub struct Editor {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The actor.
    pub actor_id: ActorId,
}

impl Editor {
    /// Reads the body; the tenant may also be in the query.
    ///
    /// # Errors
    /// As [`ActorInRoom::read`].
    pub fn read(query: &Fields, fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self { tenant_id: fields.tenant_or_in(query)?, actor_id: fields.required_actor(ACTOR_ID)? })
    }

    pub(crate) fn in_room(self, room: &RoomId) -> ActorInRoom {
        ActorInRoom { tenant_id: self.tenant_id, room_id: room.clone(), actor_id: self.actor_id }
    }
}

/// The value that a change gives a field, if it names it.
pub(crate) fn named<T>(
    fields: &Fields,
    field: Field,
    read: impl FnOnce(&Fields, Field) -> Result<T, DomainError>,
) -> Result<Option<T>, DomainError> {
    fields.has(field.name).then(|| read(fields, field)).transpose()
}

/// Sets a field to the value that a change gives it, if it names it.
pub(crate) fn set<T: Clone>(value: &mut T, named: &Option<T>) {
    if let Some(named) = named {
        value.clone_from(named);
    }
}

/// The error for a change that names no field that can be changed.
pub(crate) fn names_nothing(changeable: &[Field]) -> DomainError {
    let names: Vec<&str> = changeable.iter().map(|field| field.name).collect();
    DomainError::new(Code::Validation)
        .saying(format!("the body names nothing to change; name at least one of: {}", names.join(", ")))
        .with("fields", names)
}

/// The error for a record that does not exist, or belongs to another tenant.
pub fn not_found(tenant: &TenantId, id_name: &str, id: &str) -> DomainError {
    DomainError::new(Code::NotFound).with("tenantId", tenant.as_str()).with(id_name, id)
}
