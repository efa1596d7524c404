//! The parameters of an operation: of its path, of its query, and headers.

use agentcafe_domain::kernel::{DescribedField, EXAMPLE_ID};
use serde_json::{Value, json};

use crate::route::{ResponseKind, Route};

/// What the names in paths mean, with an example of each.
const IN_PATHS: &[(&str, &str, &str)] = &[
    ("actorId", "The actor.", "Nova"),
    ("correlationId", "The correlation id of the request.", "order-4711"),
    ("dlqId", "The entry.", EXAMPLE_ID),
    ("inboxId", "The item.", EXAMPLE_ID),
    ("objectId", "The object.", EXAMPLE_ID),
    ("roomId", "The room.", "main"),
    ("sessionId", "The session.", EXAMPLE_ID),
    ("subscriptionId", "The subscription.", EXAMPLE_ID),
    ("taskId", "The task.", EXAMPLE_ID),
];

/// The parameters of a route's operation, of which `query` are read of the query.
pub(super) fn of(route: &Route, query: &[DescribedField]) -> Vec<Value> {
    let mut parameters: Vec<Value> = path_names(route.path).map(in_path).collect();
    parameters.extend(query.iter().map(in_query));
    if matches!(route.response, ResponseKind::Stream) {
        parameters.push(json!({ "name": "Last-Event-ID", "in": "header", "required": false,
            "schema": { "type": "string", "pattern": "^[0-9]+$" }, "example": "0",
            "description": "The id of the last event that a client received before it reconnects." }));
    }
    if route.is_mutation() {
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": true,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
            "example": "nova-0001",
            "description": "Names this request: sent again with the same key, it takes no effect and gets the same answer." }));
    }
    parameters
}

fn path_names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Value {
    let known = IN_PATHS.iter().find(|(known, ..)| *known == name);
    let (_, meaning, example) = known.unwrap_or(&("", "", ""));
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
            "description": meaning, "example": example })
}

fn in_query(field: &DescribedField) -> Value {
    let mut parameter = json!({ "name": field.name, "in": "query", "required": field.required,
        "schema": without_null(&field.schema), "description": field.description });
    match &field.example {
        Some(example) if field.is_in_example => parameter["example"] = example.clone(),
        Some(example) => parameter["schema"]["examples"] = json!([example]),
        None => {}
    }
    parameter
}

/// In a query nothing is null: a parameter is there or it is not.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        let types: Vec<_> = types.iter().filter(|kind| *kind != "null").cloned().collect();
        schema["type"] = if types.len() == 1 { types[0].clone() } else { types.into() };
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        schema["enum"] = values.iter().filter(|value| !value.is_null()).cloned().collect();
    }
    schema
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::kernel::Rules;

    use super::*;
    use crate::router::table;

    fn matches_type(value: &Value, schema: &Value) -> bool {
        if let Some(choices) = schema["anyOf"].as_array() {
            return choices.iter().any(|choice| matches_type(value, choice));
        }
        if let Some(allowed) = schema["enum"].as_array() {
            return allowed.contains(value);
        }
        let names = |kind: &Value| match kind.as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => false,
        };
        let within = |bound: &str, is_within: fn(i64, i64) -> bool| {
            value.as_i64().zip(schema[bound].as_i64()).is_none_or(|(value, bound)| is_within(value, bound))
        };
        let is_of_type =
            schema["type"].as_array().map_or_else(|| names(&schema["type"]), |kinds| kinds.iter().any(names));
        is_of_type
            && within("minimum", |value, min| value >= min)
            && within("maximum", |value, max| value <= max)
    }

    /// Every field of every route has a meaning, and an example that its schema allows; but for a cursor that only the server makes.
    #[test]
    fn every_field_has_a_meaning_and_a_valid_example() {
        for route in table().iter().filter(|route| !route.is_hidden) {
            let (query, body) = route.fields(&Rules::default());
            for field in query.iter().chain(&body) {
                let what = format!("{} of {}", field.name, route.path);
                assert!(!field.description.is_empty(), "{what} has no meaning");
                match &field.example {
                    Some(example) => {
                        assert!(matches_type(example, &field.schema), "{what}: {example} {}", field.schema)
                    }
                    None => assert_eq!(field.name, "cursor", "{what} has no example"),
                }
            }
            for name in path_names(route.path) {
                assert!(IN_PATHS.iter().any(|(known, ..)| *known == name), "{name} of {}", route.path);
            }
        }
    }
}
