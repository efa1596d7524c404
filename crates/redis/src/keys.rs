//! The names of all keys in Redis.

use std::borrow::Cow;
use std::fmt;

use agentcafe_domain::kernel::{RoomId, TenantId};

/// The names of the keys with one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

/// A room as a part of a key: `tenant:room`, escaped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(String);

/// The last parts of the keys that the projector writes for each room. It resumes from `fold`.
pub(crate) const ROOM_PARTS: [&str; 7] =
    ["state", "state:snapshot", "presence", "chat", "orders", "stream", "fold"];

/// Escapes the separator in a part of a key. Plain ids stay as they are.
pub(crate) fn escaped(id: &str) -> Cow<'_, str> {
    if id.contains([':', '%']) {
        Cow::Owned(id.replace('%', "%25").replace(':', "%3A"))
    } else {
        Cow::Borrowed(id)
    }
}

fn unescaped(part: &str) -> String {
    part.replace("%3A", ":").replace("%25", "%")
}

impl RoomName {
    /// The name of a room.
    #[must_use]
    pub fn new(tenant: &TenantId, room: &RoomId) -> Self {
        Self(format!("{}:{}", escaped(tenant.as_str()), escaped(room.as_str())))
    }

    /// The ids in the name; none if they are not valid.
    #[must_use]
    pub fn ids(&self) -> Option<(TenantId, RoomId)> {
        let (tenant, room) = self.0.split_once(':')?;
        Some((TenantId::parse(&unescaped(tenant)).ok()?, RoomId::parse(&unescaped(room)).ok()?))
    }

    pub(crate) fn from_key_part(name: String) -> Self {
        Self(name)
    }

    /// The part of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Keys {
    /// The names with a prefix.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// A key of a room: `prefix:room:tenant:room:part`.
    #[must_use]
    pub fn room(&self, room: &RoomName, part: &str) -> String {
        format!("{}:room:{room}:{part}", self.prefix)
    }

    /// A key of the projector itself: its `cursor`; the id of the `log` that the cursor is of; the `shape`, the configuration with which the read models were written (a
    /// projector with another one rebuilds them); the `rooms` that have read models, and those with `present` actors, both sets
    /// of [`RoomName`]s; and the `lock` that the active projector holds.
    pub(crate) fn projector(&self, part: &str) -> String {
        format!("{}:projector:{part}", self.prefix)
    }

    /// The number of requests of a client to a route in the current window.
    pub(crate) fn rate(&self, method: &str, route: &str, client: &str) -> String {
        format!("{}:rate:{method}:{route}:{client}", self.prefix)
    }

    /// A pattern that matches the keys of all rooms.
    pub(crate) fn rooms_pattern(&self) -> String {
        let mut pattern = String::new();
        for character in self.prefix.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern + ":room:*"
    }

    /// The room of a key that ends with `part`.
    pub(crate) fn room_of(&self, key: &str, part: &str) -> Option<RoomName> {
        let rest = key.strip_prefix(&self.prefix)?.strip_prefix(":room:")?;
        let name = rest.strip_suffix(part)?.strip_suffix(':')?;
        Some(RoomName(name.to_owned()))
    }

    /// Whether the projector writes this key.
    pub(crate) fn is_projected(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix(":room:"));
        let part = rest.and_then(|rest| rest.splitn(3, ':').nth(2));
        part.is_some_and(|part| ROOM_PARTS.contains(&part))
    }
}
