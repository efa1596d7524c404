//! The owner of a record that exists only for its maker and for who manages the tenant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::binding::Binding;
use crate::kernel::id_patterns::IdPatterns;

/// Who made a record, within its tenant: `actor:` and an id for the holders of keys that are bound to this one actor, so that a
/// key can be replaced by another one of the same actor; `key:` and an id for the holder of another key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Owner(String);

impl Owner {
    /// The owner of what is made with a key that is bound to these actors.
    pub fn of(actors: &IdPatterns, key_id: &str) -> Self {
        match actors.only() {
            Some(actor) => Self(format!("actor:{actor}")),
            None => Self(format!("key:{key_id}")),
        }
    }

    /// The owner as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Binding> for Owner {
    fn from(binding: &Binding) -> Self {
        Self::of(&binding.actors, &binding.key_id)
    }
}
