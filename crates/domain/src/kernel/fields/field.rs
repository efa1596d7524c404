//! The declaration of a field: its name, what it means, an example, and how large it may be. From it come the schema, the
//! description and the examples in the OpenAPI document, and the messages of errors.

use serde_json::{Map, Value};

use super::MAX_OBJECT_BYTES;
use crate::kernel::error::{Code, DomainError};
use crate::kernel::ids::{ActorId, RESERVED_ACTORS};

/// An id for examples; no record has it.
pub const EXAMPLE_ID: &str = "0190b5a0-0000-7000-8000-000000000000";

/// A property of a body or a query parameter, declared once, beside its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it means: a sentence or two.
    pub meaning: &'static str,
    example: &'static str,
    max: Option<usize>,
    is_in_example: bool,
    is_caller: bool,
    members: &'static [&'static str],
}

/// A field as a reader reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedField {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Its JSON Schema.
    pub schema: Value,
    /// What it means, and the bounds that a schema cannot express.
    pub description: String,
    /// A value that it may have.
    pub example: Option<Value>,
    /// Whether the example of a whole request has it.
    pub is_in_example: bool,
    /// The names that the object in it may have; empty: any, or it holds no object.
    pub members: &'static [&'static str],
}

impl Field {
    /// A field with this name, meaning and example. The example is JSON, or else the text itself; empty: none.
    pub const fn new(name: &'static str, meaning: &'static str, example: &'static str) -> Self {
        Self { name, meaning, example, max: None, is_in_example: false, is_caller: false, members: &[] }
    }

    /// Holds at most so much: characters of a text, bytes of an object as JSON, members of a list.
    #[must_use]
    pub const fn up_to(self, max: usize) -> Self {
        Self { max: Some(max), ..self }
    }

    /// Holds an object with these members.
    #[must_use]
    pub const fn with_members(self, members: &'static [&'static str]) -> Self {
        Self { members, ..self }
    }

    /// Includes the field in the example of a whole request although it is optional.
    #[must_use]
    pub const fn in_example(self) -> Self {
        Self { is_in_example: true, ..self }
    }

    /// Names the actor that makes the request: with an API key it may be left out, and must be an actor of the key.
    #[must_use]
    pub const fn of_caller(self) -> Self {
        Self { is_caller: true, ..self }
    }

    /// Whether it names the actor that makes the request.
    pub(super) const fn is_caller(&self) -> bool {
        self.is_caller
    }

    /// Its size limit, if it has one.
    pub(super) const fn max(&self) -> Option<usize> {
        self.max
    }

    /// A value that it may have.
    pub(super) fn example(&self) -> Option<Value> {
        let text = Some(self.example).filter(|text| !text.is_empty())?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
    }

    /// The field as a reader reads it. A `description` in the schema is appended to the declaration's.
    pub fn described(self, required: bool, mut schema: Value) -> DescribedField {
        let more = schema.as_object_mut().and_then(|members| members.remove("description"));
        let more = more.as_ref().and_then(Value::as_str).map(|more| format!(" {more}"));
        let description = self.meaning.to_owned() + &more.unwrap_or_default();
        let (example, is_in_example) = (self.example(), required || self.is_in_example);
        let Self { name, members, .. } = self;
        DescribedField { name, required, schema, description, example, is_in_example, members }
    }

    /// The error for a required field that is missing or blank.
    pub fn missing(self) -> DomainError {
        let error = DomainError::missing(self.name);
        let message = format!("{} {}", error.message, self.meaning);
        error.saying(message.trim_end())
    }

    /// The error for a value that is not `what`, for example "a string".
    pub fn must_be(self, what: &str) -> DomainError {
        let example = self.example().map(|example| format!(", for example {example}")).unwrap_or_default();
        DomainError::invalid(self.name, format!("{} must be {what}{example}", self.name))
    }

    /// The error for an actor that has a name of the server.
    pub fn reserved(self, actor: &ActorId) -> DomainError {
        DomainError::new(Code::Forbidden)
            .saying(format!("{actor} is a name of the server: nobody acts under it"))
            .with("field", self.name)
            .with("reserved", RESERVED_ACTORS.to_vec())
    }

    /// The error for a value that is none of `allowed`.
    pub fn not_one_of<T>(self, code: Code, allowed: &[(&str, T)]) -> DomainError {
        let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
        DomainError::new(code)
            .saying(format!("{} must be one of: {}", self.name, names.join(", ")))
            .with("field", self.name)
            .with("allowed", names)
    }

    /// The most bytes that an object in it takes as JSON.
    pub(super) fn max_bytes(self) -> usize {
        self.max.unwrap_or(MAX_OBJECT_BYTES)
    }

    pub(super) fn bounded_text(self, text: &str) -> Result<String, DomainError> {
        bounded_text(self.name, text, self.max.unwrap_or(usize::MAX))
    }

    pub(super) fn bounded_object(
        self,
        object: Map<String, Value>,
    ) -> Result<Map<String, Value>, DomainError> {
        bounded_object(self.name, object, self.max_bytes())
    }
}

/// Refuses a text that is longer than `max` characters.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, max, value}`.
pub fn bounded_text(field: &str, text: &str, max: usize) -> Result<String, DomainError> {
    let chars = text.chars().count();
    if chars <= max { Ok(text.to_owned()) } else { Err(too_large(field, max, chars, "characters")) }
}

/// Refuses an object that takes more than `max` bytes as JSON.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, max, value}`.
pub fn bounded_object(
    field: &str,
    object: Map<String, Value>,
    max: usize,
) -> Result<Map<String, Value>, DomainError> {
    let bytes = serde_json::to_vec(&object).map_or(usize::MAX, |json| json.len());
    if bytes <= max { Ok(object) } else { Err(too_large(field, max, bytes, "bytes as JSON")) }
}

/// The error for a field that holds more than `max` of `unit`.
pub(crate) fn too_large(field: &str, max: usize, value: usize, unit: &str) -> DomainError {
    let message = format!("{field} has {value} {unit}; at most {max} are allowed");
    DomainError::out_of_bounds(field, message, value).with("max", max)
}
