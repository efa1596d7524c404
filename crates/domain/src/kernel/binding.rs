//! What a caller is bound to: one tenant, some actors, some rooms.

use std::sync::Arc;

use crate::kernel::error::{Code, DomainError};
use crate::kernel::id_patterns::IdPatterns;
use crate::kernel::ids::{ActorId, RoomId, TenantId};

/// How far a caller's rights go beyond what belongs to its own actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// Not at all.
    Actor,
    /// It acts as an operator in rooms where its actor has the capability `canModerate`.
    Operator,
    /// It manages the tenant.
    Admin,
}

/// What a caller with a key may be and touch. Fields that identify take their value from it when a request leaves them
/// out, and are refused when they disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The key.
    pub key_id: Arc<str>,
    /// The tenant; none: every tenant.
    pub tenant: Option<TenantId>,
    /// The actors that the caller may act and read as.
    pub actors: Arc<IdPatterns>,
    /// The rooms that it may act and read in.
    pub rooms: IdPatterns,
    /// How far its rights go.
    pub authority: Authority,
}

impl Binding {
    /// The error for an id that the caller is not bound to. It does not tell whether what was named exists.
    pub fn refusal(field: &str, message: String, allowed: Vec<String>) -> DomainError {
        DomainError::new(Code::Forbidden).saying(message).with("field", field).with("allowed", allowed)
    }

    /// The actor as whom the caller acts: the named one if the caller may be it, else the only one that it may be.
    pub fn acting_as(&self, named: Option<&ActorId>) -> Option<ActorId> {
        named.filter(|actor| actor.is_bound(self)).cloned().or_else(|| ActorId::own(self))
    }

    /// Whether the caller may act and read in a room of a tenant.
    pub fn reaches(&self, tenant: &TenantId, room: Option<&RoomId>) -> bool {
        TenantId::is_bound(tenant, self) && room.is_none_or(|room| room.is_bound(self))
    }
}

/// An id that identifies a caller, or what it may touch.
pub(crate) trait BoundId: Sized {
    /// The one that the caller is bound to, if there is only one.
    fn own(binding: &Binding) -> Option<Self>;

    /// Those that the caller is bound to, as errors name them.
    fn allowed(binding: &Binding) -> Vec<String>;

    /// Whether the caller is bound to it.
    fn is_bound(&self, binding: &Binding) -> bool;

    /// Checks the id that a field holds, or is filled in with the caller's own.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {field, allowed}`.
    fn bind(given: Option<Self>, field: &str, binding: &Binding) -> Result<Option<Self>, DomainError> {
        match given {
            Some(id) if !id.is_bound(binding) => {
                let message = format!("the key is not bound to this {field}");
                Err(Binding::refusal(field, message, Self::allowed(binding)))
            }
            Some(id) => Ok(Some(id)),
            None => Ok(Self::own(binding)),
        }
    }
}

impl BoundId for TenantId {
    fn own(binding: &Binding) -> Option<Self> {
        binding.tenant.clone()
    }

    fn allowed(binding: &Binding) -> Vec<String> {
        binding.tenant.iter().map(|tenant| tenant.as_str().to_owned()).collect()
    }

    fn is_bound(&self, binding: &Binding) -> bool {
        binding.tenant.as_ref().is_none_or(|own| own == self)
    }
}

impl BoundId for RoomId {
    fn own(binding: &Binding) -> Option<Self> {
        Self::parse(binding.rooms.only()?).ok()
    }

    fn allowed(binding: &Binding) -> Vec<String> {
        binding.rooms.as_slice().to_vec()
    }

    fn is_bound(&self, binding: &Binding) -> bool {
        binding.rooms.allow(self.as_str())
    }
}

impl BoundId for ActorId {
    fn own(binding: &Binding) -> Option<Self> {
        Self::parse(binding.actors.only()?).ok()
    }

    fn allowed(binding: &Binding) -> Vec<String> {
        binding.actors.as_slice().to_vec()
    }

    fn is_bound(&self, binding: &Binding) -> bool {
        binding.actors.allow(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(patterns: &[&str]) -> IdPatterns {
        IdPatterns::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    /// A prefix ends in a slash; everything else is one id, also one with a star in it.
    #[test]
    fn id_patterns_allow_ids_prefixes_and_all() {
        for (given, id, want) in [
            (&["*"][..], "Nova", true),
            (&["Nova"], "Nova", true),
            (&["Nova"], "nova", false),
            (&["Nova"], "Nova2", false),
            (&["team-a/"], "team-a/Kai", true),
            (&["team-a/"], "team-ab", false),
            (&["a*"], "ab", false),
            (&[], "Nova", false),
        ] {
            assert_eq!(patterns(given).allow(id), want, "{given:?} {id}");
        }
    }

    /// A key makes only keys that reach no further than itself.
    #[test]
    fn id_patterns_cover_what_reaches_no_further() {
        for (own, other, want) in [
            (&["*"][..], &["Nova", "team-a/", "*"][..], true),
            (&["team-a/"], &["team-a/Kai", "team-a/b/"], true),
            (&["team-a/"], &["team-"], false),
            (&["Nova"], &["*"], false),
            (&["Nova", "Kai"], &["Kai"], true),
        ] {
            assert_eq!(patterns(own).cover(&patterns(other)), want, "{own:?} {other:?}");
        }
    }

    #[test]
    fn id_patterns_name_their_only_id() {
        assert_eq!(patterns(&["Nova"]).only(), Some("Nova"));
        for several in [&["*"][..], &["a/"], &["Nova", "Kai"], &[]] {
            assert_eq!(patterns(several).only(), None, "{several:?}");
        }
    }
}
