//! Identifiers that are valid once they exist: tenants, rooms, actors, correlation ids, sequences.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// The longest id a client may choose, in Unicode scalar values.
pub const MAX_ID_CHARS: usize = 128;

/// Why a text cannot be an id. The message is meant for the client that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidId {
    /// Nothing but white space.
    Blank,
    /// More than [`MAX_ID_CHARS`] characters.
    TooLong,
    /// A control character or a line separator, which would break logs, keys and terminals.
    ControlCharacter,
    /// A character that shows nothing or turns the direction of writing: two ids would look the same.
    InvisibleCharacter,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("an id must not be blank"),
            Self::TooLong => write!(f, "an id has at most {MAX_ID_CHARS} characters"),
            Self::ControlCharacter => f.write_str("an id must not contain control characters"),
            Self::InvisibleCharacter => f.write_str("an id must not contain invisible characters"),
        }
    }
}

/// Code points that show nothing: those with the property Default_Ignorable_Code_Point (Unicode 17,
/// DerivedCoreProperties), among them all that turn the direction of writing.
const INVISIBLE: [RangeInclusive<char>; 17] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];
/// Stands at the begin of files that some editors write, and is trimmed like white space.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Whether a character shows nothing.
pub(super) fn is_invisible(character: char) -> bool {
    !character.is_ascii() && INVISIBLE.iter().any(|range| range.contains(&character))
}

/// An id as a client may choose it: in the composed form (NFC), without characters that do not show.
fn chosen(raw: &str) -> Result<Cow<'_, str>, InvalidId> {
    let id = checked(raw.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK))?;
    if id.is_ascii() {
        return Ok(Cow::Borrowed(id));
    }
    if id.chars().any(is_invisible) {
        return Err(InvalidId::InvisibleCharacter);
    }
    if id.contains(['\u{2028}', '\u{2029}']) {
        return Err(InvalidId::ControlCharacter);
    }
    Ok(if is_nfc(id) { Cow::Borrowed(id) } else { Cow::Owned(id.nfc().collect()) })
}

/// What every id holds, also one that an earlier version stored.
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
            /// Takes a client's text: trimmed and composed (NFC), not blank, at most [`MAX_ID_CHARS`] characters, no
            /// control characters and none that do not show.
            ///
            /// # Errors
            /// [`InvalidId`] says which of these does not hold.
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                chosen(raw).map(|id| Self(id.into()))
            }

            /// Takes an id that is stored already: an earlier version allowed more characters.
            ///
            /// # Errors
            /// [`InvalidId`] if it was never an id.
            pub fn stored(raw: &str) -> Result<Self, InvalidId> {
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
                Self::stored(&raw).map_err(D::Error::custom)
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

/// The names of the server, under which nobody acts.
pub const RESERVED_ACTORS: [&str; 3] = [SYSTEM, "operator", "agentcafe"];
const SYSTEM: &str = "system";

impl ActorId {
    /// The actor of requests that name none.
    pub fn system() -> Self {
        Self(SYSTEM.into())
    }

    /// Whether it is a name of the server.
    pub fn is_reserved(&self) -> bool {
        RESERVED_ACTORS.contains(&self.as_str())
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

    /// The last place that every JSON parser reads exactly: 2^53 - 1.
    pub const MAX: Self = Self((1 << 53) - 1);

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

    /// Ids are trimmed and composed; blank ones, long ones, control characters and what does not show are refused.
    #[test]
    fn an_id_is_trimmed_or_refused() {
        let long = "x".repeat(MAX_ID_CHARS + 1);
        let wide = "é".repeat(MAX_ID_CHARS);
        let cases: [(&str, Result<&str, InvalidId>); 17] = [
            ("Nova", Ok("Nova")),
            ("  main ", Ok("main")),
            (&wide, Ok(&wide)),
            ("", Err(InvalidId::Blank)),
            (" \t", Err(InvalidId::Blank)),
            (&long, Err(InvalidId::TooLong)),
            ("a\u{7}b", Err(InvalidId::ControlCharacter)),
            ("\u{feff}Kai\r\n", Ok("Kai")),
            ("Rene\u{301}", Ok("Ren\u{e9}")),
            ("\u{2603}", Ok("\u{2603}")),
            ("Kai\u{200b}", Err(InvalidId::InvisibleCharacter)),
            ("\u{202e}iaK", Err(InvalidId::InvisibleCharacter)),
            ("Ka\u{ad}i", Err(InvalidId::InvisibleCharacter)),
            ("\u{2060}", Err(InvalidId::InvisibleCharacter)),
            ("Kai\u{fe0f}", Err(InvalidId::InvisibleCharacter)),
            ("Kai\u{e0041}", Err(InvalidId::InvisibleCharacter)),
            ("a\u{2028}b", Err(InvalidId::ControlCharacter)),
        ];
        for (raw, want) in cases {
            assert_eq!(ActorId::parse(raw).as_ref().map(ActorId::as_str), want.as_ref().copied(), "{raw:?}");
        }
    }
}
