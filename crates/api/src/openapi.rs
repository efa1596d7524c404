//! The OpenAPI document, made from the code: operations declare the fields that they read, and types those of responses.

use agentcafe_domain::event_schemas::AnyEvent;
use agentcafe_domain::kernel::{Code, DescribedField, Rules, object_schema};
use agentcafe_http::RouteAccess;
use agentcafe_http::error::status_of;
use axum::http::Method;
use bytes::Bytes;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::route::{ResponseKind, Route, schema_of};

mod examples;
mod parameters;
pub(crate) mod schemas;

/// Renders the document of these routes; `access` says who may call the route with a path.
pub(crate) fn document(rules: &Rules, routes: &[Route], access: fn(&str) -> RouteAccess) -> Bytes {
    let mut generator = schemas::generator();
    let mut paths = Map::new();
    for route in routes.iter().filter(|route| !route.is_hidden) {
        let mut described = operation(&mut generator, route, rules);
        if let Some(security) = security(access(route.path)) {
            described["security"] = security;
        }
        paths.entry(route.path).or_insert_with(|| json!({}))[route.method_key()] = described;
    }
    let mut schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    schemas.insert("Error".to_owned(), schemas::error());
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
        "components": { "schemas": schemas, "examples": examples::errors(),
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

fn operation(generator: &mut SchemaGenerator, route: &Route, rules: &Rules) -> Value {
    let Route { tag, summary, .. } = route;
    let (query, body) = route.fields(rules);
    let mut described = json!({
        "tags": [tag],
        "summary": summary,
        "operationId": route.operation_id,
        "parameters": parameters::of(route, &query),
        "responses": responses(generator, route),
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

fn responses(generator: &mut SchemaGenerator, route: &Route) -> Value {
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
