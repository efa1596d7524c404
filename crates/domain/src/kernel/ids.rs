//! Identifiers that are valid once they exist: tenants, rooms, actors, correlation ids, sequences.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest id a client may choose, in Unicode scalar values.
pub const MAX_ID_CHARS: usize = 128;

/// Why a text cannot be an id. The message is meant for the client that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidId {
    /// Nothing but white space.
    Blank,
    /// More than [`MAX_ID_CHARS`] characters.
    TooLong,
    /// A control character, which would break logs, keys and terminals.
    ControlCharacter,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("an id must not be blank"),
            Self::TooLong => write!(f, "an id has at most {MAX_ID_CHARS} characters"),
            Self::ControlCharacter => f.write_str("an id must not contain control characters"),
        }
    }
}

fn checked(raw: &str) -> Result<&str, InvalidId> {
    let id = raw.trim();
    if id.is_empty() {
        Err(InvalidId::Blank)
    } else if id.len() > MAX_ID_CHARS && id.chars().count() > MAX_ID_CHARS {
        Err(InvalidId::TooLong)
    } else if id.chars().any(char::is_control) {
        Err(InvalidId::ControlCharacter)
    } else {
        Ok(id)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $description:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a client's text: trimmed, not blank, at most [`MAX_ID_CHARS`] characters, no control characters.
            ///
            /// # Errors
            /// [`InvalidId`] says which of these does not hold.
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                checked(raw).map(|id| Self(id.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as shared text, for keys and columns.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = Cow::<str>::deserialize(deserializer)?;
                Self::parse(&raw).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_ID_CHARS,
                    "description": $description
                })
            }
        }
    };
}

text_id! {
    /// A tenant: the outermost separation of data.
    TenantId, "The tenant."
}
text_id! {
    /// A room within a tenant.
    RoomId, "The room."
}
text_id! {
    /// An agent, a person or an operator, within a tenant.
    ActorId, "The actor."
}
text_id! {
    /// Shared by all events that one request caused; also the key of its trace.
    CorrelationId, "Identifies the request in its events and its trace."
}

/// The tenant of requests that name none: `default`.
impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl RoomId {
    /// The room of requests that name none.
    pub fn main() -> Self {
        Self("main".into())
    }
}

impl ActorId {
    /// The actor of requests that name none.
    pub fn system() -> Self {
        Self("system".into())
    }
}

impl From<uuid::Uuid> for CorrelationId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.to_string().into())
    }
}

/// An event's place in the log: 1 for the first, then strictly increasing over all tenants. 0 is before every event.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are trimmed; blank ones, long ones and control characters are refused.
    #[test]
    fn an_id_is_trimmed_or_refused() {
        let long = "x".repeat(MAX_ID_CHARS + 1);
        let wide = "é".repeat(MAX_ID_CHARS);
        let cases: [(&str, Result<&str, InvalidId>); 7] = [
            ("Nova", Ok("Nova")),
            ("  main ", Ok("main")),
            (&wide, Ok(&wide)),
            ("", Err(InvalidId::Blank)),
            (" \t", Err(InvalidId::Blank)),
            (&long, Err(InvalidId::TooLong)),
            ("a\u{7}b", Err(InvalidId::ControlCharacter)),
        ];
        for (raw, want) in cases {
            assert_eq!(ActorId::parse(raw).as_ref().map(ActorId::as_str), want.as_ref().copied(), "{raw:?}");
        }
    }
}
