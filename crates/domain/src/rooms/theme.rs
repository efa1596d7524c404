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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Colours are checked in order and kept in lower case; a theme without a part is none.
    #[test]
    fn themes_are_read_part_by_part() {
        let cases = [
            (json!({}), Ok(json!(null))),
            (json!({"font": "serif"}), Ok(json!(null))),
            (json!({"bubbleColor": "#AABBCC"}), Ok(json!({"bubbleColor": "#aabbcc"}))),
            (json!({"textColor": "#aabbccDD", "font": 1}), Ok(json!({"textColor": "#aabbccdd"}))),
            (
                json!({"textColor": null, "accentColor": ""}),
                Ok(json!({"textColor": null, "accentColor": null})),
            ),
            (json!({"bubbleColor": "aabbcc"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
            (json!({"bubbleColor": "#abc"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
            (json!({"bubbleColor": "#aabbcg"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
            (json!({"bubbleColor": "#üüü"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
            (json!({"textColor": " #aabbcc"}), Err(("ERR_INVALID_COLOR", "theme.textColor"))),
            (json!({"accentColor": 7, "textColor": "red"}), Err(("ERR_INVALID_COLOR", "theme.textColor"))),
            (json!({"accentColor": 7}), Err(("ERR_VALIDATION", "accentColor"))),
            (json!({"bubbleColor": false, "textColor": "red"}), Err(("ERR_VALIDATION", "bubbleColor"))),
        ];
        for (sent, want) in cases {
            let read = Theme::read(sent.as_object().unwrap());
            let got = read.as_ref().map(|theme| json!(theme));
            let got = got.map_err(|error| (error.code.as_str(), error.details["field"].as_str().unwrap()));
            assert_eq!(got, want, "{sent}");
        }
        let theme = Theme::read(json!({"textColor": null, "accentColor": "#000000"}).as_object().unwrap());
        let stored = serde_json::to_vec(&theme.clone().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Option<Theme>>(&stored).unwrap(), theme.unwrap());
    }
}
