//! The colours an actor shows itself in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{Code, DomainError};

/// What of an actor's appearance has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThemePart {
    /// What its words stand on.
    BubbleColor,
    /// Its words.
    TextColor,
    /// Everything else.
    AccentColor,
}

impl ThemePart {
    /// All of them, in the order in which they are checked, with the name on the wire and the path of the field.
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::BubbleColor, "bubbleColor", "theme.bubbleColor"),
        (Self::TextColor, "textColor", "theme.textColor"),
        (Self::AccentColor, "accentColor", "theme.accentColor"),
    ];
    /// Their names on the wire.
    pub(crate) const NAMES: &'static [&'static str] = &[Self::ALL[0].1, Self::ALL[1].1, Self::ALL[2].1];
}

/// `#rrggbb` or `#rrggbbaa`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Color(String);

impl Color {
    fn parse(raw: &str) -> Option<Self> {
        let digits = raw.strip_prefix('#')?;
        let is_color = matches!(digits.len(), 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_color.then(|| Self(raw.to_ascii_lowercase()))
    }
}

impl JsonSchema for Color {
    fn schema_name() -> Cow<'static, str> {
        "Color".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^#([0-9a-f]{6}|[0-9a-f]{8})$" })
    }
}

/// The colours that an actor named; null where it named none on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Theme(BTreeMap<ThemePart, Option<Color>>);

impl Theme {
    /// Reads the colours; none if no part is named.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for a colour that is no text, `ERR_INVALID_COLOR {field, value}`.
    pub fn read(sent: &Map<String, Value>) -> Result<Option<Self>, DomainError> {
        let mut colors = BTreeMap::new();
        for (part, name, field) in ThemePart::ALL {
            let color = match sent.get(name) {
                None => continue,
                Some(Value::Null) => None,
                Some(Value::String(text)) if text.trim().is_empty() => None,
                Some(Value::String(text)) => Some(Color::parse(text).ok_or_else(|| {
                    DomainError::new(Code::InvalidColor)
                        .saying(format!("{field} must be #rrggbb or #rrggbbaa"))
                        .with("field", field)
                        .with("value", text.as_str())
                })?),
                Some(_) => return Err(DomainError::invalid(name, format!("{field} must be a string"))),
            };
            colors.insert(part, color);
        }
        Ok((!colors.is_empty()).then_some(Self(colors)))
    }
}
