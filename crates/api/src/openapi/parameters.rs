//! The parameters of an operation in the OpenAPI document: of the path, of the query, and headers.

use agentcafe_domain::kernel::{DescribedField, EXAMPLE_ID};
use serde_json::{Value, json};

use crate::route::{ResponseKind, Route};

/// The names in paths, with a description and an example of each.
const IN_PATHS: &[(&str, &str, &str)] = &[
    ("actorId", "The actor.", "Nova"),
    ("correlationId", "The correlation id of the request.", "order-4711"),
    ("dlqId", "The entry.", EXAMPLE_ID),
    ("inboxId", "The item.", EXAMPLE_ID),
    ("keyId", "The key.", "0x914KZelJ4jG"),
    ("messageId", "The message.", "message-1"),
    ("objectId", "The object.", EXAMPLE_ID),
    ("roomId", "The room.", "main"),
    ("sessionId", "The session.", EXAMPLE_ID),
    ("subscriptionId", "The subscription.", EXAMPLE_ID),
    ("taskId", "The task.", EXAMPLE_ID),
    ("threadId", "The thread.", "message-1"),
];

/// The parameters of a route's operation, `query` among them.
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
    if has_known_names(route) {
        parameters.push(json!({ "$ref": "#/components/parameters/Prefer" }));
    }
    parameters
}

/// Whether it is known which names a route reads: those of an operation.
pub(super) fn has_known_names(route: &Route) -> bool {
    route.path.starts_with("/v1/")
}

/// How unknown names are handled.
pub(super) fn prefer() -> Value {
    json!({ "name": "Prefer", "in": "header", "required": false,
        "schema": { "type": "string", "enum": ["handling=strict", "handling=lenient"] },
        "example": "handling=strict",
        "description": "With `handling=strict`, a request with a member or a parameter that is not described here is refused (400 ERR_VALIDATION) before it takes effect, and the response has `Preference-Applied`. Otherwise such names are ignored, and the response names them in x-agentcafe-warnings." })
}

/// The header with the names that were ignored.
pub(super) fn warnings() -> Value {
    json!({ "schema": { "type": "string" }, "example": "body member thread_id is unknown (nearest: threadId)",
        "description": "The names in the request that have no effect, each with the nearest known name. Errors have it, too." })
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

/// The schema without null, which a query cannot hold.
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
