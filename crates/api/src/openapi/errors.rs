//! The answers to requests that failed: which of them a route may give, and what they look like.

use std::collections::BTreeSet;

use agentcafe_domain::kernel::Code;
use agentcafe_http::error::status_of;
use serde_json::{Map, Value, json};

use super::examples;
use crate::route::{ResponseKind, Route};

/// The answers of a route, by status: references to components, which are added to `known`.
pub(super) fn of(route: &Route, known: &mut Map<String, Value>) -> Vec<(String, Value)> {
    let kind = if route.is_mutation() { "Mutation" } else { "Read" };
    let reference = |(status, codes): (u16, Vec<Code>)| {
        let name = format!("{kind}{status}");
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        known.entry(name).or_insert_with(|| response(&codes));
        (status.to_string(), reference)
    };
    by_status(route).into_iter().map(reference).collect()
}

/// The answer with one of these codes.
fn response(codes: &[Code]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let example = |code: &Code| {
        let name = examples::name_of(*code);
        let reference = json!({ "$ref": format!("#/components/examples/{name}") });
        (name, reference)
    };
    let examples: Map<String, Value> = codes.iter().map(example).collect();
    let schema = json!({ "$ref": "#/components/schemas/ErrorResponse" });
    json!({
        "description": names.join(", "),
        "content": { "application/json": { "schema": schema, "examples": examples } },
    })
}

/// The error codes that a route may respond with, by status.
fn by_status(route: &Route) -> Vec<(u16, Vec<Code>)> {
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
    let mut statuses: Vec<(u16, Vec<Code>)> = Vec::new();
    for code in codes.iter().chain(has_cursor.then_some(&Code::CursorAhead)) {
        let status = status_of(*code).as_u16();
        match statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, codes)) => codes.push(*code),
            None => statuses.push((status, vec![*code])),
        }
    }
    statuses
}

/// The name of each code: two statuses share one.
pub(crate) fn names() -> BTreeSet<&'static str> {
    Code::ALL.iter().map(|code| code.as_str()).collect()
}

/// The schemas of the answer to a request that failed. No schema has the name of one of its own members: generated Python would have
/// two variables of one name.
pub(super) fn schemas() -> [(String, Value); 2] {
    let response = json!({
        "type": "object",
        "description": "The answer to a request that failed.",
        "required": ["ok", "error"],
        "properties": {
            "ok": { "type": "boolean", "const": false, "description": "Whether the request succeeded." },
            "error": { "$ref": "#/components/schemas/ApiError", "description": "What went wrong." },
        },
    });
    let error = json!({
        "type": "object",
        "description": "What went wrong.",
        "required": ["code", "message", "details", "requestId"],
        "properties": {
            "code": { "type": "string", "enum": names(), "description": "What went wrong, for programs." },
            "message": { "type": "string", "description": "What went wrong, for people." },
            "details": { "type": "object", "additionalProperties": true,
                         "description": "More about it, for programs. Its members depend on the code." },
            "requestId": { "type": "string", "description": "The id of the request, also in x-request-id." },
        },
    });
    [("ErrorResponse".to_owned(), response), ("ApiError".to_owned(), error)]
}
