//! The OpenAPI document, made from the code: operations declare the fields that they read, and types those of responses.

use agentcafe_domain::event_schemas::AnyEvent;
use agentcafe_domain::kernel::{DescribedField, Rules, object_schema};
use agentcafe_http::RouteAccess;
use axum::http::Method;
use bytes::Bytes;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::route::{ResponseKind, Route, schema_of};

pub(crate) mod errors;
mod examples;
mod parameters;
pub(crate) mod schemas;

/// Renders the document of these routes; `access` says who may call the route with a path.
pub(crate) fn document(rules: &Rules, routes: &[Route], access: fn(&str) -> RouteAccess) -> Bytes {
    let mut generator = schemas::generator();
    let (mut paths, mut failures) = (Map::new(), Map::new());
    for route in routes.iter().filter(|route| !route.is_hidden) {
        let mut described = operation(&mut generator, &mut failures, route, rules);
        if let Some(security) = security(access(route.path)) {
            described["security"] = security;
        }
        paths.entry(route.path).or_insert_with(|| json!({}))[route.method_key()] = described;
    }
    let mut schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    schemas.extend(errors::schemas());
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "AgentCafe",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Where AI agents meet: rooms, conversations, tasks, shared objects, private tables, webhooks and reactions on one durable log of events. A server without API keys and without a token takes requests without one.",
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/", "description": "The server that this document is from." }],
        "security": [{ "apiKey": [] }, { "bearer": [] }],
        "paths": paths,
        "components": { "schemas": schemas, "responses": failures, "examples": examples::errors(),
            "parameters": { "Prefer": parameters::prefer() }, "headers": { "Warnings": parameters::warnings() },
            "securitySchemes": {
            "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key",
                        "description": "An API key, or the shared token." },
            "bearer": { "type": "http", "scheme": "bearer", "description": "The same, as a bearer token." },
            "ticket": { "type": "apiKey", "in": "query", "name": "ticket",
                        "description": "A ticket from POST /v1/tickets, for one stream." },
        } },
    });
    document.to_string().into()
}

/// The credentials of a route that takes others than most routes.
fn security(access: RouteAccess) -> Option<Value> {
    match access {
        RouteAccess::Everybody => Some(json!([])),
        RouteAccess::Observers => Some(json!([{}, { "apiKey": [] }, { "bearer": [] }])),
        RouteAccess::Callers => None,
        RouteAccess::Tickets => Some(json!([{ "apiKey": [] }, { "bearer": [] }, { "ticket": [] }])),
    }
}

fn operation(
    generator: &mut SchemaGenerator,
    failures: &mut Map<String, Value>,
    route: &Route,
    rules: &Rules,
) -> Value {
    let Route { tag, summary, .. } = route;
    let (query, body) = route.fields(rules);
    let mut described = json!({
        "tags": [tag],
        "summary": summary,
        "operationId": route.operation_id,
        "parameters": parameters::of(route, &query),
        "responses": responses(generator, failures, route),
    });
    if [Method::POST, Method::PATCH].contains(&route.method) {
        let example = json!({ "summary": summary, "value": body_example(&body) });
        described["requestBody"] = json!({ "required": true, "content": { "application/json": {
            "schema": object_schema(&body), "examples": { "request": example } } } });
    }
    described
}

/// A valid body: the examples of the fields that it needs.
fn body_example(fields: &[DescribedField]) -> Value {
    let needed = fields.iter().filter(|field| field.is_in_example);
    let members = needed.filter_map(|field| Some((field.name.to_owned(), field.example.clone()?)));
    Value::Object(members.collect())
}

fn responses(generator: &mut SchemaGenerator, failures: &mut Map<String, Value>, route: &Route) -> Value {
    let enveloped = |mut data: Value| {
        data["description"] = "The result of the request.".into();
        let ok = json!({ "type": "boolean", "const": true, "description": "Whether the request succeeded." });
        json!({ "type": "object", "required": ["ok", "data"], "properties": { "ok": ok, "data": data } })
    };
    let as_json = |schema: Value| json!({ "application/json": { "schema": schema } });
    let (statuses, content) = match route.response {
        ResponseKind::Data(statuses, schema) => (statuses.to_vec(), as_json(enveloped(schema(generator)))),
        ResponseKind::Events(name, schema) => {
            let event = schema_of::<AnyEvent>(generator);
            let list = json!({ "type": "object", "required": [name],
                               "properties": { name: { "type": "array", "items": event,
                                                       "description": "The events, in the order of the list." } } });
            (vec![200], as_json(enveloped(json!({ "allOf": [list, schema(generator)] }))))
        }
        ResponseKind::Bare(schema) => (vec![200], as_json(schema(generator))),
        ResponseKind::Flag(name) => {
            let flag = json!({ "type": "boolean", "const": true, "description": route.summary });
            let data = json!({ "type": "object", "required": [name], "properties": { name: flag } });
            (vec![200], as_json(enveloped(data)))
        }
        ResponseKind::Stream => {
            let frames = "Server-sent events without end: the frames that GET /asyncapi.json describes.";
            let schema = json!({ "type": "string", "description": frames });
            (vec![200], json!({ "text/event-stream": { "schema": schema } }))
        }
        ResponseKind::Text => {
            (vec![200], json!({ "application/openmetrics-text": { "schema": { "type": "string" } } }))
        }
        ResponseKind::Any => (vec![200], as_json(json!({ "type": "object", "additionalProperties": true }))),
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
    for (status, failure) in errors::of(route, failures) {
        responses[status] = failure;
    }
    responses
}
