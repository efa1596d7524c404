//! Reads what a client sent, field by field, with fixed coercions and errors; and describes, without a client, which fields a
//! reader reads, from which the OpenAPI document is made.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::kernel::binding::{Authority, Binding};
use crate::kernel::error::DomainError;
use crate::kernel::ids::Sequence;
use crate::kernel::time::Timestamp;

mod caller;
mod choices;
mod declared;
mod field;
mod lists;
mod numbers;
mod texts;

pub use declared::*;
pub(crate) use field::too_large;
pub use field::{DescribedField, EXAMPLE_ID, Field, bounded_object, bounded_text};
pub use lists::object_schema;

enum Source {
    Body(Map<String, Value>),
    /// Texts only.
    Query(Map<String, Value>),
    Describing(Mutex<Vec<DescribedField>>),
}

/// A JSON object or a query string, read by name. A JSON `null` and an empty parameter count as missing.
pub struct Fields {
    source: Source,
    /// What the caller is bound to, if it has an API key: tenants, rooms and the caller's own actor are held against it.
    binding: Option<Arc<Binding>>,
}

/// Where a reader of the log starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this event.
    After(Sequence),
    /// At the head: only events that are appended from now on.
    Latest,
}

impl From<Source> for Fields {
    fn from(source: Source) -> Self {
        Self { source, binding: None }
    }
}

impl Fields {
    /// Reads from the object a client sent as its body.
    pub fn of_body(body: Map<String, Value>) -> Self {
        Source::Body(body).into()
    }

    /// Reads from decoded query parameters; of each name, the first one counts.
    pub fn of_query(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut query = Map::new();
        for (name, value) in parameters {
            query.entry(name).or_insert(Value::String(value));
        }
        Source::Query(query).into()
    }

    /// Holds tenants, rooms and the caller's own actor against what the caller is bound to, and fills in those that are missing.
    #[must_use]
    pub fn bound_to(self, binding: Option<Arc<Binding>>) -> Self {
        Self { binding, ..self }
    }

    /// How far the rights of the caller go: without a key, as far as those of an admin.
    pub fn authority(&self) -> Authority {
        self.binding.as_ref().map_or(Authority::Admin, |binding| binding.authority)
    }

    /// The object a client sent; none for query parameters.
    pub fn body(&self) -> Option<&Map<String, Value>> {
        match &self.source {
            Source::Body(body) => Some(body),
            Source::Query(_) | Source::Describing(_) => None,
        }
    }

    /// Fields without a client: a reader gets values that are valid, and which fields it reads is noted.
    pub fn describing() -> Self {
        Source::Describing(Mutex::default()).into()
    }

    /// The fields that were read while [describing](Fields::describing), in this order.
    pub fn described(self) -> Vec<DescribedField> {
        match self.source {
            Source::Describing(noted) => noted.into_inner().unwrap_or_default(),
            Source::Body(_) | Source::Query(_) => Vec::new(),
        }
    }

    pub(crate) fn is_describing(&self) -> bool {
        matches!(self.source, Source::Describing(_))
    }

    /// Notes the field when describing (`true`: answer with an example), else does nothing.
    fn note(&self, field: Field, required: bool, schema: impl FnOnce() -> Value) -> bool {
        let Source::Describing(described) = &self.source else { return false };
        if let Ok(mut described) = described.lock()
            && described.iter().all(|known| known.name != field.name)
        {
            described.push(field.described(required, schema()));
        }
        true
    }

    /// The members of the body, or the query parameters as texts; none while describing.
    pub fn members(&self) -> Option<&Map<String, Value>> {
        match &self.source {
            Source::Body(members) | Source::Query(members) => Some(members),
            Source::Describing(_) => None,
        }
    }

    /// The value as sent; `None` when missing, null or (in a query) empty.
    fn sent(&self, field: Field) -> Option<&Value> {
        let is_empty = |value: &Value| matches!(self.source, Source::Query(_)) && value == "";
        self.members()?.get(field.name).filter(|value| !value.is_null() && !is_empty(value))
    }

    /// Notes an optional field when describing; else the value as sent.
    fn optional(&self, field: Field, schema: impl FnOnce() -> Value) -> Option<&Value> {
        if self.note(field, false, schema) { None } else { self.sent(field) }
    }

    /// Whether the client sent this member at all, be it null: what a change does not name stays as it is.
    pub fn has(&self, name: &str) -> bool {
        self.members().is_none_or(|members| members.contains_key(name))
    }

    /// A JSON object; none if missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type, `ERR_OUT_OF_BOUNDS {field, max, value}` for too many bytes as JSON.
    pub fn object(&self, field: Field) -> Result<Option<Map<String, Value>>, DomainError> {
        let schema = || {
            let bound = format!("At most {} bytes as JSON.", field.max_bytes());
            json!({ "type": ["object", "null"], "description": bound })
        };
        match self.optional(field, schema) {
            None => Ok(None),
            Some(Value::Object(object)) => field.bounded_object(object.clone()).map(Some),
            Some(_) => Err(field.must_be("an object")),
        }
    }

    /// `true` or `false`: a JSON boolean in a body; `true/1/yes` or `false/0/no` in a query, where anything else counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for anything but a boolean in a body.
    pub fn flag(&self, field: Field) -> Result<Option<bool>, DomainError> {
        let sent = self.optional(field, || json!({ "type": ["boolean", "null"] }));
        match (&self.source, sent) {
            (_, None) => Ok(None),
            (Source::Query(_), Some(Value::String(text))) => Ok(match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Some(true),
                "false" | "0" | "no" => Some(false),
                _ => None,
            }),
            (_, Some(Value::Bool(flag))) => Ok(Some(*flag)),
            (_, Some(_)) => Err(field.must_be("true or false")),
        }
    }

    /// Whether a list's `order` is `desc`; anything else means `asc`.
    pub fn is_descending(&self) -> bool {
        let order = self.optional(ORDER, || json!({ "enum": ["asc", "desc"] }));
        order.is_some_and(|order| order == "desc")
    }

    /// Whether the `order` of a list that shows the newest first is `asc`; anything else means `desc`.
    pub fn is_ascending(&self) -> bool {
        let order = self.optional(ORDER, || json!({ "enum": ["asc", "desc"], "default": "desc" }));
        order.is_some_and(|order| order == "asc")
    }

    /// A date-time, RFC 3339; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`.
    pub fn timestamp(&self, field: Field) -> Result<Option<Timestamp>, DomainError> {
        match self.optional(field, || json!({ "type": ["string", "null"], "format": "date-time" })) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) if let Some(at) = self.parse_timestamp(text) => Ok(Some(at)),
            Some(other) => Err(field.must_be("an RFC 3339 date-time").with("value", other.clone())),
        }
    }

    /// In a query, a blank before the offset stands for the `+` that a client did not encode.
    fn parse_timestamp(&self, text: &str) -> Option<Timestamp> {
        match text.trim_end().rsplit_once(' ') {
            Some((time, offset)) if matches!(self.source, Source::Query(_)) && time.contains('T') => {
                Timestamp::parse(&format!("{time}+{offset}"))
            }
            _ => Timestamp::parse(text),
        }
    }

    /// The fields of the object that `field` holds, or these fields themselves if there is none.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn nested_or_self(&self, field: Field) -> Result<Option<Self>, DomainError> {
        let nested = self.object(field)?;
        if self.is_describing() {
            Ok(None)
        } else {
            Ok(nested.map(|body| Self::of_body(body).bound_to(self.binding.clone())))
        }
    }
}
