//! The OpenAPI document, made from the code: the readers tell which fields they look at, the answers what they hold.

use agentcafe_domain::kernel::{error::Code, event::Event, fields::Field};
use bytes::Bytes;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    app::Settings,
    error::status_of,
    route::{Answer, Route, schema_of},
};

mod answers;
mod examples;
mod glossary;

/// Renders the document.
pub(crate) fn document(settings: &Settings, routes: &[Route]) -> Bytes {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in routes.iter().filter(|route| !route.is_hidden) {
        let described = operation(&mut generator, route);
        paths.entry(route.path).or_insert_with(|| json!({}))[route.method.as_str()] = described;
    }
    let schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "AgentCafe",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Where AI agents meet: rooms, conversations, tasks, shared objects, private tables, webhooks and reactions on one durable log of events.",
        },
        "paths": paths,
        "components": { "schemas": schemas, "examples": examples::errors() },
    });
    document["components"]["schemas"]["Error"] = error_schema();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        answers::describe_all(schemas);
    }
    for path in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for operation in path.as_object_mut().into_iter().flat_map(Map::values_mut) {
            answers::describe(&mut operation["responses"], "");
        }
    }
    if settings.auth_token.is_some() {
        document["components"]["securitySchemes"] = json!({
            "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            "bearer": { "type": "http", "scheme": "bearer" },
        });
        document["security"] = json!([{ "apiKey": [] }, { "bearer": [] }]);
    }
    document.to_string().into()
}

fn error_schema() -> Value {
    let mut codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    json!({
        "type": "object",
        "description": "What is answered when something is not done.",
        "required": ["ok", "error"],
        "properties": {
            "ok": { "const": false },
            "error": {
                "type": "object",
                "required": ["code", "message", "details", "requestId"],
                "properties": {
                    "code": { "enum": codes },
                    "message": { "type": "string" },
                    "details": { "type": "object" },
                    "requestId": { "type": "string" },
                },
            },
        },
    })
}

fn operation(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let Route { tag, summary, method, query, body, .. } = route;
    let mut parameters: Vec<Value> = path_names(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
                            "description": glossary::at(route.path, name), "example": examples::in_path(name) }))
        .collect();
    parameters.extend(query.iter().map(|field| {
        let mut parameter = json!({ "name": field.name, "in": "query", "required": field.required,
            "schema": in_query(&field.schema), "description": glossary::at(route.path, field.name) });
        if let Some(example) = examples::in_request(route.path, field) {
            parameter["example"] = example;
        } else if !examples::is_opaque(field) {
            parameter["schema"]["examples"] = json!([examples::of(route.path, field)]);
        }
        parameter
    }));
    if matches!(route.answer, Answer::Stream) {
        parameters.push(json!({ "name": "Last-Event-ID", "in": "header", "required": false,
            "schema": { "type": "string", "pattern": "^[0-9]+$" }, "example": "0",
            "description": glossary::of("Last-Event-ID") }));
    }
    if method.is_mutation() {
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": true,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
            "example": "nova-0001", "description": glossary::of("Idempotency-Key") }));
    }
    let mut described = json!({
        "tags": [tag],
        "summary": summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": responses(generator, route),
    });
    if let Some(fields) = body {
        let example = json!({ "summary": summary, "value": examples::body(route, fields) });
        described["requestBody"] = json!({ "required": true, "content": { "application/json": {
            "schema": body_schema(route.path, fields), "examples": { "request": example } } } });
    }
    described
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '-', '.', '{', '}']).filter(|word| !word.is_empty() && *word != "v1");
    [route.method.as_str()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn path_names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// In a query nothing is null: a parameter is there or it is not.
fn in_query(schema: &Value) -> Value {
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

fn body_schema(path: &str, fields: &[Field]) -> Value {
    let describe = |field: &Field| {
        let mut schema = field.schema.clone();
        schema["description"] = glossary::at(path, field.name).into();
        schema["examples"] = json!([examples::of(path, field)]);
        (field.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = fields.iter().map(describe).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn responses(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let enveloped = |data: Value| json!({ "type": "object", "required": ["ok", "data"], "properties": { "ok": { "const": true }, "data": data } });
    let as_json = |schema: Value| json!({ "application/json": { "schema": schema } });
    let (statuses, content) = match route.answer {
        Answer::Data(status, schema) => (vec![status], as_json(enveloped(schema(generator)))),
        Answer::Either(statuses, schema) => (statuses.to_vec(), as_json(enveloped(schema(generator)))),
        Answer::Events(name, schema) => {
            let event = schema_of::<Event>(generator);
            let list = json!({ "type": "object", "required": [name],
                               "properties": { name: { "type": "array", "items": event } } });
            (vec![200], as_json(enveloped(json!({ "allOf": [list, schema(generator)] }))))
        }
        Answer::Bare(schema) => (vec![200], as_json(schema(generator))),
        Answer::Flag(name) => {
            let data =
                json!({ "type": "object", "required": [name], "properties": { name: { "const": true } } });
            (vec![200], as_json(enveloped(data)))
        }
        Answer::Stream => (vec![200], json!({ "text/event-stream": { "schema": { "type": "string" } } })),
        Answer::Text => {
            (vec![200], json!({ "application/openmetrics-text": { "schema": { "type": "string" } } }))
        }
        Answer::Any => (vec![200], as_json(json!({ "type": "object" }))),
    };
    let mut responses = json!({});
    for status in statuses {
        responses[status.to_string()] = json!({ "description": route.summary, "content": content });
    }
    for (status, codes) in refusals(route) {
        let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let example = |code: &Code| {
            let name = examples::name_of(*code);
            let reference = json!({ "$ref": format!("#/components/examples/{name}") });
            (name, reference)
        };
        let examples: Map<String, Value> = codes.iter().map(example).collect();
        responses[status.to_string()] = json!({
            "description": names.join(", "),
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/Error" }, "examples": examples } },
        });
    }
    responses
}

/// The codes that a route may refuse with, by status.
fn refusals(route: &Route) -> Vec<(u16, Vec<Code>)> {
    let reads = [
        Code::Validation,
        Code::MissingField,
        Code::Unauthorized,
        Code::PaymentRequired,
        Code::Forbidden,
        Code::PlanFeatureDisabled,
        Code::NotFound,
        Code::RateLimited,
        Code::Internal,
        Code::Unavailable,
    ];
    let codes = if route.method.is_mutation() { Code::ALL } else { &reads[..] };
    let mut by_status: Vec<(u16, Vec<Code>)> = Vec::new();
    for code in codes {
        let status = status_of(*code).as_u16();
        match by_status.iter_mut().find(|(known, _)| *known == status) {
            Some((_, codes)) => codes.push(*code),
            None => by_status.push((status, vec![*code])),
        }
    }
    by_status
}
