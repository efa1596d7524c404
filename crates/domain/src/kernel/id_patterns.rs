//! Patterns of ids: those that an API key is bound to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Matches every id.
const ANY: &str = "*";
/// A pattern that ends so matches all ids that begin with it.
const PREFIX_END: char = '/';

/// Which ids are meant: `*` for all, `team-a/` for those that begin so, anything else for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

    /// The patterns that stand for one id each.
    pub fn exact(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|id| *id != ANY && !id.ends_with(PREFIX_END))
    }

    /// What the ids of the other patterns begin with.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|pattern| match pattern.as_str() {
            ANY => Some(""),
            prefix => prefix.ends_with(PREFIX_END).then_some(prefix),
        })
    }

    /// The one id that is meant, if it is only one.
    pub fn only(&self) -> Option<&str> {
        self.exact().next().filter(|_| self.0.len() == 1)
    }

    /// Whether every id matches.
    pub fn is_any(&self) -> bool {
        self.0.iter().any(|pattern| pattern == ANY)
    }

    /// The patterns.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}
