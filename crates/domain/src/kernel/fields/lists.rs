//! Lists of objects, each read by its own fields.

use serde_json::{Map, Value, json};

use super::{DescribedField, Field, Fields, too_large};
use crate::kernel::error::DomainError;

/// The JSON Schema of an object with these members.
pub fn object_schema(fields: &[DescribedField]) -> Value {
    let describe = |field: &DescribedField| {
        let mut schema = field.schema.clone();
        schema["description"] = field.description.as_str().into();
        schema["examples"] = field.example.iter().cloned().collect();
        if schema["type"].as_array().is_some_and(|types| types.iter().any(|name| name == "object")) {
            schema["additionalProperties"] = true.into();
        }
        (field.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = fields.iter().map(describe).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

impl Fields {
    /// A list of objects, at most as many as the field holds; missing counts as empty.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type, also of a member; `ERR_OUT_OF_BOUNDS {field, max, value}` for too many. An
    /// error of a member names its place: `attachments[0].url`.
    pub fn list<T>(
        &self,
        field: Field,
        read: impl Fn(&Self) -> Result<T, DomainError>,
    ) -> Result<Vec<T>, DomainError> {
        let schema = || {
            let member = Self::describing();
            let _ = read(&member);
            json!({ "type": ["array", "null"], "maxItems": field.max(), "items": object_schema(&member.described()) })
        };
        let members = match self.optional(field, schema) {
            None => return Ok(Vec::new()),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(field.must_be("an array of objects")),
        };
        if let Some(max) = field.max().filter(|max| members.len() > *max) {
            return Err(too_large(field.name, max, members.len(), "members"));
        }
        let read = |(at, member): (usize, &Value)| match member {
            Value::Object(member) => read(&Self::of_body(member.clone()))
                .map_err(|error| error.within(&format!("{}[{at}]", field.name))),
            _ => Err(field.must_be("an array of objects")),
        };
        members.iter().enumerate().map(read).collect()
    }
}
