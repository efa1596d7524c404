//! The OpenAPI document, made from the code: operations declare the fields that they read, and types those of responses.

use agentcafe_domain::kernel::{Code, DescribedField, Event, Rules};
use agentcafe_http::error::status_of;
use axum::http::Method;
use bytes::Bytes;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::app::ApiSettings;
use crate::route::{ResponseKind, Route, schema_of};

mod examples;
mod parameters;

/// Renders the document.
pub(crate) fn document(settings: &ApiSettings, rules: &Rules, routes: &[Route]) -> Bytes {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(RecursiveTransform(complete_descriptions))
        .into_generator();
    let mut paths = Map::new();
    for route in routes.iter().filter(|route| !route.is_hidden) {
        let described = operation(&mut generator, route, rules);
        paths.entry(route.path).or_insert_with(|| json!({}))[route.method_key()] = described;
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
    document["components"]["parameters"] = json!({ "Prefer": parameters::prefer() });
    document["components"]["headers"] = json!({ "Warnings": parameters::warnings() });
    document["components"]["schemas"]["Error"] = error_schema();
    if settings.token.required.is_some() {
        document["components"]["securitySchemes"] = json!({
            "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            "bearer": { "type": "http", "scheme": "bearer" },
        });
        document["security"] = json!([{ "apiKey": [] }, { "bearer": [] }]);
    }
    document.to_string().into()
}

/// Removes what doc comments link to, which is not in the document, and describes members that cannot have doc comments: the
/// tag and the content of an enum.
fn complete_descriptions(schema: &mut Schema) {
    const MEMBERS: [(&str, &str); 2] = [
        ("actionPayload", "How the target does it. Its members depend on actionType."),
        ("actionType", "What the target does."),
    ];
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace("[`", "`").replace("`]", "`");
    }
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, description) in MEMBERS {
        if let Some(Value::Object(property)) = properties.get_mut(name) {
            property.entry("description").or_insert_with(|| description.into());
        }
    }
}

fn error_schema() -> Value {
    let mut codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    json!({
        "type": "object",
        "description": "The answer to a request that failed.",
        "required": ["ok", "error"],
        "properties": {
            "ok": { "const": false, "description": "Whether the request succeeded." },
            "error": {
                "type": "object",
                "description": "What went wrong.",
                "required": ["code", "message", "details", "requestId"],
                "properties": {
                    "code": { "enum": codes, "description": "What went wrong, for programs." },
                    "message": { "type": "string", "description": "What went wrong, for people." },
                    "details": { "type": "object",
                                 "description": "More about it, for programs. Its members depend on the code." },
                    "requestId": { "type": "string", "description": "The id of the request, also in x-request-id." },
                },
            },
        },
    })
}

fn operation(generator: &mut SchemaGenerator, route: &Route, rules: &Rules) -> Value {
    let Route { tag, summary, .. } = route;
    let (query, body) = route.fields(rules);
    let mut described = json!({
        "tags": [tag],
        "summary": summary,
        "operationId": operation_id(route),
        "parameters": parameters::of(route, &query),
        "responses": responses(generator, route),
    });
    if [Method::POST, Method::PATCH].contains(&route.method) {
        let example = json!({ "summary": summary, "value": body_example(&body) });
        described["requestBody"] = json!({ "required": true, "content": { "application/json": {
            "schema": body_schema(&body), "examples": { "request": example } } } });
    }
    described
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '-', '.', '{', '}']).filter(|word| !word.is_empty() && *word != "v1");
    [route.method_key().as_str()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn body_schema(fields: &[DescribedField]) -> Value {
    let describe = |field: &DescribedField| {
        let mut schema = field.schema.clone();
        schema["description"] = field.description.as_str().into();
        schema["examples"] = field.example.iter().cloned().collect();
        (field.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = fields.iter().map(describe).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// A valid body: the examples of the fields that it needs.
fn body_example(fields: &[DescribedField]) -> Value {
    let needed = fields.iter().filter(|field| field.is_in_example);
    let members = needed.filter_map(|field| Some((field.name.to_owned(), field.example.clone()?)));
    Value::Object(members.collect())
}

fn responses(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let enveloped = |mut data: Value| {
        data["description"] = "The result of the request.".into();
        let ok = json!({ "const": true, "description": "Whether the request succeeded." });
        json!({ "type": "object", "required": ["ok", "data"], "properties": { "ok": ok, "data": data } })
    };
    let as_json = |schema: Value| json!({ "application/json": { "schema": schema } });
    let (statuses, content) = match route.response {
        ResponseKind::Data(statuses, schema) => (statuses.to_vec(), as_json(enveloped(schema(generator)))),
        ResponseKind::Events(name, schema) => {
            let event = schema_of::<Event>(generator);
            let list = json!({ "type": "object", "required": [name],
                               "properties": { name: { "type": "array", "items": event,
                                                       "description": "The events, in the order of the list." } } });
            (vec![200], as_json(enveloped(json!({ "allOf": [list, schema(generator)] }))))
        }
        ResponseKind::Bare(schema) => (vec![200], as_json(schema(generator))),
        ResponseKind::Flag(name) => {
            let flag = json!({ "const": true, "description": route.summary });
            let data = json!({ "type": "object", "required": [name], "properties": { name: flag } });
            (vec![200], as_json(enveloped(data)))
        }
        ResponseKind::Stream => {
            (vec![200], json!({ "text/event-stream": { "schema": { "type": "string" } } }))
        }
        ResponseKind::Text => {
            (vec![200], json!({ "application/openmetrics-text": { "schema": { "type": "string" } } }))
        }
        ResponseKind::Any => (vec![200], as_json(json!({ "type": "object" }))),
    };
    let mut responses = json!({});
    for status in statuses {
        let mut response = json!({ "description": route.summary, "content": content });
        if parameters::has_known_names(route) {
            response["headers"] =
                json!({ "x-agentcafe-warnings": { "$ref": "#/components/headers/Warnings" } });
        }
        responses[status.to_string()] = response;
    }
    for (status, codes) in errors_of(route) {
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

/// The error codes that a route may respond with, by status.
fn errors_of(route: &Route) -> Vec<(u16, Vec<Code>)> {
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
        Code::DataLoss,
        Code::Unavailable,
    ];
    let codes = if route.is_mutation() { Code::ALL } else { &reads[..] };
    let has_cursor = matches!(route.response, ResponseKind::Events(..));
    let mut by_status: Vec<(u16, Vec<Code>)> = Vec::new();
    for code in codes.iter().chain(has_cursor.then_some(&Code::CursorAhead)) {
        let status = status_of(*code).as_u16();
        match by_status.iter_mut().find(|(known, _)| *known == status) {
            Some((_, codes)) => codes.push(*code),
            None => by_status.push((status, vec![*code])),
        }
    }
    by_status
}
