//! The names of a tenant's actors, so that nobody joins under a name that looks like another's.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_security::skeleton;

use crate::kernel::{
    ActorId, CommandContext, CommandError, DomainError, Key, Query, RESERVED_ACTORS, Record, TenantId, hex,
    record,
};

/// The actors of a tenant whose names look the same. More than one only if an earlier version let them in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorName {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What the names look like: the hash of their skeleton (Unicode Technical Standard 39), which has no bounded length.
    pub skeleton_hash: String,
    /// The actors.
    pub actor_ids: Vec<ActorId>,
}

record!(ActorName in "actor_names": [tenant_id, skeleton_hash]);

impl ActorName {
    /// The name of one actor.
    pub fn new(tenant_id: TenantId, actor_id: ActorId) -> Self {
        Self { tenant_id, skeleton_hash: skeleton_hash(actor_id.as_str()), actor_ids: vec![actor_id] }
    }

    fn key_of(tenant_id: &TenantId, actor_id: &ActorId) -> Key {
        vec![tenant_id.into(), skeleton_hash(actor_id.as_str()).as_str().into()]
    }
}

/// What the names of the server look like.
static RESERVED: LazyLock<[String; RESERVED_ACTORS.len()]> =
    LazyLock::new(|| RESERVED_ACTORS.map(skeleton_hash));

fn skeleton_hash(name: &str) -> String {
    let skeleton: String = skeleton(name).collect();
    hex(&Sha256::digest(skeleton)[..16])
}

/// What [`register`] reads.
pub fn read(tenant_id: &TenantId, actor_id: &ActorId) -> Query {
    Query::one::<ActorName>(ActorName::key_of(tenant_id, actor_id))
}

/// Whether an actor is known in a tenant.
///
/// # Errors
/// [`CommandError::Load`] what [`read`] names.
pub fn is_known(
    ctx: &CommandContext<'_>,
    tenant_id: &TenantId,
    actor_id: &ActorId,
) -> Result<bool, CommandError> {
    let known = ctx.get::<ActorName>(ActorName::key_of(tenant_id, actor_id))?;
    Ok(known.is_some_and(|known| known.actor_ids.contains(actor_id)))
}

/// Makes an actor known in a tenant; called where a record of it is made that it had none of before. `field` named it.
///
/// # Errors
/// `ERR_VALIDATION {field, looksLike}` if its name looks like that of another actor, or of the server.
/// [`CommandError::Load`] what [`read`] names.
pub fn register(
    ctx: &mut CommandContext<'_>,
    tenant_id: &TenantId,
    actor_id: &ActorId,
    field: &str,
) -> Result<(), CommandError> {
    let name = ActorName::new(tenant_id.clone(), actor_id.clone());
    if let Some(at) = RESERVED.iter().position(|reserved| *reserved == name.skeleton_hash) {
        return Err(looks_like(field, RESERVED_ACTORS[at]).into());
    }
    match ctx.get::<ActorName>(name.key())? {
        None => ctx.put(&name),
        Some(known) if known.actor_ids.contains(actor_id) => {}
        Some(known) => {
            return Err(looks_like(field, known.actor_ids.first().map_or("", ActorId::as_str)).into());
        }
    }
    Ok(())
}

fn looks_like(field: &str, other: &str) -> DomainError {
    let message = format!("{field} looks like the name of another actor; choose one that differs visibly");
    DomainError::invalid(field, message).with("looksLike", other)
}

#[cfg(test)]
mod tests {
    use super::skeleton_hash;

    /// Letters of other scripts, full width and letters that are written alike; not what merely resembles.
    #[test]
    fn skeleton_hash_is_equal_for_names_that_look_the_same() {
        for (one, other, is_equal) in [
            ("Kai", "K\u{430}i", true),
            ("Kai", "\u{ff2b}\u{ff41}\u{ff49}", true),
            ("Kai", "\u{39a}ai", true),
            ("modern", "modem", true),
            ("Nova1", "Noval", true),
            ("Kai", "kai", false),
            ("Kai", "Kia", false),
            ("worker-1", "worker-2", false),
        ] {
            assert_eq!(skeleton_hash(one) == skeleton_hash(other), is_equal, "{one} {other}");
        }
    }
}
