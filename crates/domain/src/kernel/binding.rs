//! What a caller is bound to: one tenant, some actors, some rooms.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::error::{Code, DomainError};
use crate::kernel::ids::{ActorId, RoomId, TenantId};

/// Matches every id.
const ANY: &str = "*";
/// A pattern that ends so matches all ids that begin with it.
const PREFIX_END: char = '/';

/// Which ids are meant: `*` for all, `team-a/` for those that begin so, anything else for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IdPatterns(Vec<String>);

impl IdPatterns {
    /// Takes patterns as they are.
    pub fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Matches every id.
    pub fn any() -> Self {
        Self(vec![ANY.to_owned()])
    }

    /// Whether an id is among them.
    pub fn allow(&self, id: &str) -> bool {
        self.0.iter().any(|pattern| {
            pattern == ANY
                || pattern == id
                || (pattern.ends_with(PREFIX_END) && id.starts_with(pattern.as_str()))
        })
    }

    /// Whether every id that `other` matches is matched by these too.
    pub fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|pattern| self.allow(pattern))
    }

    /// The one id that is meant, if it is only one.
    pub fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [id] if id != ANY && !id.ends_with(PREFIX_END) => Some(id),
            _ => None,
        }
    }

    /// Whether nothing matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
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
    pub actors: IdPatterns,
    /// The rooms that it may act and read in.
    pub rooms: IdPatterns,
}

impl Binding {
    /// Holds the value of an identifying field against the binding.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {field, allowed}`; it does not say whether what was named exists.
    fn check(&self, field: &str, id: &str, allowed: &[String], is_allowed: bool) -> Result<(), DomainError> {
        if is_allowed {
            return Ok(());
        }
        Err(DomainError::new(Code::Forbidden)
            .saying(format!("the key is not bound to {field} {id:?}"))
            .with("field", field)
            .with("allowed", allowed.to_vec()))
    }

    /// Checks that the caller may be this actor.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {field, allowed}`.
    pub fn check_actor(&self, field: &str, actor: &ActorId) -> Result<(), DomainError> {
        self.check(field, actor.as_str(), self.actors.as_slice(), self.actors.allow(actor.as_str()))
    }

    /// Checks that the caller may act and read in this room.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {field, allowed}`.
    pub fn check_room(&self, field: &str, room: &RoomId) -> Result<(), DomainError> {
        self.check(field, room.as_str(), self.rooms.as_slice(), self.rooms.allow(room.as_str()))
    }

    /// Checks that the caller belongs to this tenant.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {field, allowed}`.
    pub fn check_tenant(&self, field: &str, tenant: &TenantId) -> Result<(), DomainError> {
        let Some(own) = &self.tenant else { return Ok(()) };
        self.check(field, tenant.as_str(), &[own.as_str().to_owned()], own == tenant)
    }

    /// The one actor that the caller is, if it is only one.
    pub fn only_actor(&self) -> Option<ActorId> {
        ActorId::parse(self.actors.only()?).ok()
    }

    /// The one room that the caller is bound to, if it is only one.
    pub fn only_room(&self) -> Option<RoomId> {
        RoomId::parse(self.rooms.only()?).ok()
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
