//! Reads what a client sent, field by field, with the contract's coercions and errors; and, asked
//! without a client, tells which fields a reader looks at, from which the OpenAPI document is made.

use std::{collections::HashMap, sync::Mutex};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::kernel::{
    error::{Code, DomainError},
    ids::{ActorId, CorrelationId, InvalidId, MAX_ID_CHARS, RoomId, Sequence, TenantId},
    time::Timestamp,
};

mod choices;
mod numbers;

/// What a reader asked for: one property of a body or one query parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Its JSON Schema.
    pub schema: Value,
}

enum Source {
    Body(Map<String, Value>),
    Query(HashMap<String, String>),
    Describing(Mutex<Vec<Field>>),
}

/// A JSON object or a query string, read by name. A JSON `null` and an empty parameter count as missing.
pub struct Fields(Source);

/// Where a reader of the log starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this event.
    After(Sequence),
    /// At the head: only what comes from now on.
    Latest,
}

impl Fields {
    /// Reads from the object a client sent as its body.
    pub fn of_body(body: Map<String, Value>) -> Self {
        Self(Source::Body(body))
    }

    /// Reads from decoded query parameters.
    pub fn of_query(query: HashMap<String, String>) -> Self {
        Self(Source::Query(query))
    }

    /// The object a client sent; none for query parameters.
    pub fn body(&self) -> Option<&Map<String, Value>> {
        match &self.0 {
            Source::Body(body) => Some(body),
            Source::Query(_) | Source::Describing(_) => None,
        }
    }

    /// Runs `reader` without a client, on values that are valid, and tells which fields it asked for.
    pub fn describe<T>(reader: impl FnOnce(&Self) -> T) -> Vec<Field> {
        let fields = Self(Source::Describing(Mutex::new(Vec::new())));
        reader(&fields);
        match fields.0 {
            Source::Describing(asked) => asked.into_inner().unwrap_or_default(),
            Source::Body(_) | Source::Query(_) => Vec::new(),
        }
    }

    pub(crate) fn is_describing(&self) -> bool {
        matches!(self.0, Source::Describing(_))
    }

    /// Notes the field when describing (`true`: answer with an example), else does nothing.
    fn note(&self, name: &'static str, required: bool, schema: impl FnOnce() -> Value) -> bool {
        let Source::Describing(asked) = &self.0 else { return false };
        if let Ok(mut asked) = asked.lock()
            && asked.iter().all(|field| field.name != name)
        {
            asked.push(Field { name, required, schema: schema() });
        }
        true
    }

    /// The value as sent; `None` when missing, null or (in a query) empty.
    fn sent(&self, name: &str) -> Option<Value> {
        match &self.0 {
            Source::Body(body) => body.get(name).filter(|value| !value.is_null()).cloned(),
            Source::Query(query) => {
                query.get(name).filter(|text| !text.is_empty()).map(|text| text.clone().into())
            }
            Source::Describing(_) => None,
        }
    }

    /// Whether the client sent this member at all, be it null: what a change does not name stays as it is.
    pub fn has(&self, name: &str) -> bool {
        match &self.0 {
            Source::Body(body) => body.contains_key(name),
            Source::Query(query) => query.contains_key(name),
            Source::Describing(_) => true,
        }
    }

    /// A text that must be there: trimmed, not blank.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}`, also for another type.
    pub fn required_text(&self, name: &'static str) -> Result<String, DomainError> {
        if self.note(name, true, || json!({ "type": "string", "minLength": 1 })) {
            return Ok("example".to_owned());
        }
        match self.sent(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => Err(DomainError::missing(name)),
        }
    }

    /// As [`Fields::required_text`], but another type does not count as missing.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing or blank, `ERR_VALIDATION {field}` for another type.
    pub fn required_string(&self, name: &'static str) -> Result<String, DomainError> {
        match self.sent(name) {
            None | Some(Value::String(_)) => self.required_text(name),
            Some(_) => Err(DomainError::invalid(name, format!("{name} must be a string"))),
        }
    }

    /// A text that may be missing; kept as it is.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, DomainError> {
        if self.note(name, false, || json!({ "type": ["string", "null"] })) {
            return Ok(None);
        }
        match self.sent(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(DomainError::invalid(name, format!("{name} must be a string"))),
        }
    }

    /// A text that may be missing; trimmed, and blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn trimmed_text(&self, name: &'static str) -> Result<Option<String>, DomainError> {
        let text = self.text(name)?.map(|text| text.trim().to_owned());
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn optional_id<T>(
        &self,
        name: &'static str,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, DomainError> {
        if self.note(name, false, || json!({ "type": ["string", "null"], "maxLength": MAX_ID_CHARS })) {
            return Ok(None);
        }
        match self.trimmed_text(name)? {
            None => Ok(None),
            Some(text) => parse(&text).map(Some).map_err(|why| DomainError::invalid(name, why.to_string())),
        }
    }

    /// An actor that must be named.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing, blank or of another type; `ERR_VALIDATION {field}` when not a valid id.
    pub fn required_actor(&self, name: &'static str) -> Result<ActorId, DomainError> {
        self.required_id(name, ActorId::parse)
    }

    fn required_id<T>(
        &self,
        name: &'static str,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<T, DomainError> {
        let schema = || json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS });
        let text = if self.note(name, true, schema) { "Nova".to_owned() } else { self.required_text(name)? };
        parse(&text).map_err(|why| DomainError::invalid(name, why.to_string()))
    }

    /// A room that must be named.
    ///
    /// # Errors
    /// As [`Fields::required_actor`].
    pub fn required_room(&self, name: &'static str) -> Result<RoomId, DomainError> {
        self.required_id(name, RoomId::parse)
    }

    /// An actor that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn actor(&self, name: &'static str) -> Result<Option<ActorId>, DomainError> {
        self.optional_id(name, ActorId::parse)
    }

    /// A room that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn room(&self, name: &'static str) -> Result<Option<RoomId>, DomainError> {
        self.optional_id(name, RoomId::parse)
    }

    /// A tenant that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn tenant(&self, name: &'static str) -> Result<Option<TenantId>, DomainError> {
        self.optional_id(name, TenantId::parse)
    }

    /// A correlation id that may be given; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn correlation(&self, name: &'static str) -> Result<Option<CorrelationId>, DomainError> {
        self.optional_id(name, CorrelationId::parse)
    }

    /// A JSON object; none if missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn object(&self, name: &'static str) -> Result<Option<Map<String, Value>>, DomainError> {
        if self.note(name, false, || json!({ "type": ["object", "null"] })) {
            return Ok(None);
        }
        match self.sent(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(DomainError::invalid(name, format!("{name} must be an object"))),
        }
    }

    /// A list of texts: each trimmed, blanks dropped, the first of equals kept; at most `max` of them.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type or another type of member; `ERR_OUT_OF_BOUNDS {field, max, value}`.
    pub fn texts(&self, name: &'static str, max: usize) -> Result<Option<Vec<String>>, DomainError> {
        let schema = || json!({ "type": ["array", "null"], "items": { "type": "string" }, "maxItems": max });
        if self.note(name, false, schema) {
            return Ok(None);
        }
        let members = match self.sent(name) {
            None => return Ok(None),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(DomainError::invalid(name, format!("{name} must be an array of strings"))),
        };
        let mut texts: Vec<String> = Vec::new();
        for member in members.iter().take(max.saturating_mul(4)) {
            let Value::String(text) = member else {
                return Err(DomainError::invalid(name, format!("{name} must be an array of strings")));
            };
            let text = text.trim();
            if !text.is_empty() && !texts.iter().any(|known| known == text) {
                texts.push(text.to_owned());
            }
        }
        if texts.len() > max || members.len() > max.saturating_mul(4) {
            return Err(too_many(name, max, members.len()));
        }
        Ok(Some(texts))
    }

    /// `true` or `false`: a JSON boolean in a body; `true/1/yes` or `false/0/no` in a query, where anything else counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for anything but a boolean in a body.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, DomainError> {
        if self.note(name, false, || json!({ "type": ["boolean", "null"] })) {
            return Ok(None);
        }
        match (&self.0, self.sent(name)) {
            (_, None) => Ok(None),
            (Source::Query(_), Some(Value::String(text))) => Ok(match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Some(true),
                "false" | "0" | "no" => Some(false),
                _ => None,
            }),
            (_, Some(Value::Bool(flag))) => Ok(Some(flag)),
            (_, Some(_)) => Err(DomainError::invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// Whether a list's `order` is `desc`; anything else means `asc`.
    pub fn is_descending(&self) -> bool {
        if self.note("order", false, || json!({ "enum": ["asc", "desc"] })) {
            return false;
        }
        self.sent("order").is_some_and(|order| order.as_str() == Some("desc"))
    }

    /// Whether the `order` of a list that shows the newest first is `asc`; anything else means `desc`.
    pub fn is_ascending(&self) -> bool {
        if self.note("order", false, || json!({ "enum": ["asc", "desc"], "default": "desc" })) {
            return false;
        }
        self.sent("order").is_some_and(|order| order.as_str() == Some("asc"))
    }

    /// A moment, RFC 3339; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`.
    pub fn timestamp(&self, name: &'static str) -> Result<Option<Timestamp>, DomainError> {
        if self.note(name, false, || json!({ "type": ["string", "null"], "format": "date-time" })) {
            return Ok(None);
        }
        match self.sent(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) if let Some(at) = Timestamp::parse(&text) => Ok(Some(at)),
            Some(other) => Err(DomainError::invalid(name, format!("{name} must be an RFC 3339 date-time"))
                .with("value", other)),
        }
    }

    /// A list of at most `max` UUIDs; missing counts as empty.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` for a member that is none, `ERR_OUT_OF_BOUNDS {field, max, value}` for too many.
    pub fn uuids(&self, name: &'static str, max: usize) -> Result<Vec<Uuid>, DomainError> {
        let schema = || json!({ "type": ["array", "null"], "items": { "type": "string", "format": "uuid" }, "maxItems": max });
        if self.note(name, false, schema) {
            return Ok(Vec::new());
        }
        let members = match self.sent(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(DomainError::invalid(name, format!("{name} must be an array of UUIDs"))),
        };
        if members.len() > max {
            return Err(too_many(name, max, members.len()));
        }
        let parse = |member: Value| {
            let id = member.as_str().and_then(|text| Uuid::parse_str(text.trim()).ok());
            id.ok_or_else(|| {
                DomainError::invalid(name, format!("{name} must be an array of UUIDs")).with("value", member)
            })
        };
        members.into_iter().map(parse).collect()
    }

    /// Names separated by commas; blanks dropped. Missing and empty mean no filter.
    pub fn names(&self, name: &'static str) -> Vec<String> {
        if self.note(name, false, || json!({ "type": "string" })) {
            return Vec::new();
        }
        let sent = self.sent(name);
        let text = sent.as_ref().and_then(Value::as_str).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// The fields of the object under `name`, or these fields themselves if there is none.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn nested_or_self(&self, name: &'static str) -> Result<Option<Self>, DomainError> {
        let nested = self.object(name)?;
        if self.is_describing() { Ok(None) } else { Ok(nested.map(Self::of_body)) }
    }
}

fn too_many(name: &str, max: usize, sent: usize) -> DomainError {
    DomainError::new(Code::OutOfBounds)
        .saying(format!("{name} has at most {max} members"))
        .with("field", name)
        .with("max", max)
        .with("value", sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn body(value: Value) -> Fields {
        Fields::of_body(value.as_object().cloned().unwrap())
    }

    pub(super) fn query(name: &str, value: &str) -> Fields {
        Fields::of_query(HashMap::from([(name.to_owned(), value.to_owned())]))
    }

    /// CONTRACT 2.9 and RULINGS J11: booleans in bodies are booleans; a query knows a few words.
    #[test]
    fn flags_are_not_guessed() {
        assert_eq!(body(json!({ "f": true })).flag("f"), Ok(Some(true)));
        assert!(body(json!({ "f": "false" })).flag("f").is_err());
        assert!(body(json!({ "f": 1 })).flag("f").is_err());
        for (text, want) in [("YES", Some(true)), ("0", Some(false)), ("maybe", None)] {
            assert_eq!(query("f", text).flag("f"), Ok(want));
        }
    }

    #[test]
    fn a_reader_describes_itself() {
        let asked = Fields::describe(|fields| {
            let _ = fields.required_actor("actorId");
            let _ = fields.text("note");
        });
        let names: Vec<_> = asked.iter().map(|field| (field.name, field.required)).collect();
        assert_eq!(names, [("actorId", true), ("note", false)]);
    }
}
