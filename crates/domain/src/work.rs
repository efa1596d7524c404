//! What tasks and shared objects have in common: who may work on them, and how much they hold.

use serde_json::{Map, Value};

use crate::{
    actor_command,
    kernel::{
        actor::ActorInRoom,
        command::{CommandContext, CommandError},
        error::{Code, DomainError},
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::Query,
    },
    permissions::{self, RoomOverride},
    tables::{
        access::{self, AccessRequirement},
        plan::Feature,
    },
};

/// The longest title, and the longest key of an object, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// The longest description of a task or content of an object, in characters.
pub const MAX_CONTENT_CHARS: usize = 16_384;

/// A kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Its label.
    pub(crate) action: &'static str,
    /// What a private table's plan must include for it.
    pub(crate) feature: Feature,
}

impl Work {
    /// Checks that the actor may do this in the room now.
    ///
    /// # Errors
    /// As the table's gate, then as the operators' overrides.
    pub(crate) fn allow(self, ctx: &CommandContext<'_>, actor: &ActorInRoom) -> Result<(), CommandError> {
        let table_access =
            AccessRequirement { action: self.action, feature: Some(self.feature), takes_seat: false };
        access::pass(ctx, actor, table_access)?;
        permissions::not_overridden(ctx, actor, self.action)
    }
}

/// What [`Work::allow`] surely reads.
pub(crate) fn reads(actor: &ActorInRoom) -> Vec<Query> {
    vec![access::read(actor), Query::one::<RoomOverride>(actor.room_key())]
}

/// Who changes something that a path names. The room is the thing's own.
#[derive(Clone, Debug)]
pub struct Changer {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The actor.
    pub actor_id: ActorId,
}

impl Changer {
    /// Reads the body; the tenant may also stand in the query.
    ///
    /// # Errors
    /// As [`ActorInRoom::read`].
    pub fn read(query: &Fields, fields: &Fields) -> Result<Self, DomainError> {
        let tenant_id = match fields.tenant("tenantId")? {
            Some(tenant) => tenant,
            None => query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
        };
        Ok(Self { tenant_id, actor_id: fields.required_actor("actorId")? })
    }

    pub(crate) fn in_room(self, room: &RoomId) -> ActorInRoom {
        ActorInRoom { tenant_id: self.tenant_id, room_id: room.clone(), actor_id: self.actor_id }
    }
}

/// A text that may be missing: kept as it is, but a blank one counts as missing.
pub(crate) fn text(fields: &Fields, name: &'static str, max: usize) -> Result<Option<String>, DomainError> {
    let text = fields.text(name)?.filter(|text| !text.trim().is_empty());
    actor_command::bounded_text(name, text, max)
}

/// An object of free members; empty if missing.
pub(crate) fn object(fields: &Fields, name: &'static str) -> Result<Map<String, Value>, DomainError> {
    actor_command::bounded_object(
        name,
        fields.object(name)?.unwrap_or_default(),
        actor_command::MAX_OBJECT_BYTES,
    )
}

/// What a change says of a field, if it names it.
pub(crate) fn named<T>(
    fields: &Fields,
    name: &'static str,
    read: impl FnOnce(&Fields) -> Result<T, DomainError>,
) -> Result<Option<T>, DomainError> {
    fields.has(name).then(|| read(fields)).transpose()
}

/// One of `allowed`, if a change names it: null is none of them.
///
/// # Errors
/// `ERR_INVALID_ENUM {field, allowed}`.
pub(crate) fn named_choice<T: Copy>(
    fields: &Fields,
    name: &'static str,
    allowed: &[(&str, T)],
) -> Result<Option<T>, DomainError> {
    let choice = fields.choice(name, allowed)?;
    if choice.is_some() || !fields.has(name) || fields.is_describing() {
        return Ok(choice);
    }
    let names: Vec<Value> = allowed.iter().map(|(text, _)| (*text).into()).collect();
    Err(DomainError::new(Code::InvalidEnum)
        .saying(format!("{name} cannot be null"))
        .with("field", name)
        .with("allowed", names))
}

/// A change that names nothing that can be changed.
pub(crate) fn names_nothing(changeable: &[&str]) -> DomainError {
    DomainError::new(Code::Validation)
        .saying("name at least one field to change")
        .with("fields", changeable.iter().map(|name| Value::from(*name)).collect::<Vec<_>>())
}

/// Something that is not there, or belongs to another tenant.
pub fn not_found(tenant: &TenantId, id_name: &str, id: &str) -> DomainError {
    DomainError::new(Code::NotFound).with("tenantId", tenant.as_str()).with(id_name, id)
}

#[cfg(test)]
mod tests;
