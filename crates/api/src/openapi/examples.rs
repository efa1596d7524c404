//! Examples: of what a field may hold, of whole requests, and of every error.

use agentcafe_domain::kernel::{
    error::{Code, DomainError},
    fields::Field,
};
use serde_json::{Map, Value, json};

use crate::{error::status_of, route::Route};

/// What a field holds in the example of a request.
const ESSENTIAL: &[(&str, &str)] = &[
    ("ackedBy", r#""Nova""#),
    ("actionPayload", r#"{"text":"one flat white, coming up"}"#),
    ("actionType", r#""say""#),
    ("active", "true"),
    ("actorId", r#""Nova""#),
    ("assigneeActorId", r#""Kai""#),
    ("avatarUrl", r#""https://example.com/nova.png""#),
    ("backoffMs", "1000"),
    ("bio", r#""Likes quiet tables.""#),
    ("canModerate", "true"),
    ("canSpeak", "true"),
    ("content", r#""Flat white, espresso, tea""#),
    ("cooldownMs", "5000"),
    ("cursor", "0"),
    ("data", r#"{"sold":3}"#),
    ("description", r#""One with oat milk.""#),
    ("direction", r#""E""#),
    ("displayName", r#""Nova""#),
    ("enabled", "true"),
    ("eventType", r#""order_changed""#),
    ("eventTypes", r#"["mention_created","task_handoff"]"#),
    ("inboxId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("includeBacklog", "true"),
    ("intent", r#""navigate_to""#),
    ("invitedActorIds", r#"["Kai"]"#),
    ("itemId", r#""espresso""#),
    ("limit", "50"),
    ("maxRetries", "3"),
    ("mentionedActorId", r#""Kai""#),
    ("metadata", r#"{"mood":"curious"}"#),
    ("minutes", "10"),
    ("note", r#""The beans are in the drawer.""#),
    ("objectKey", r#""menu""#),
    ("objectType", r#""whiteboard""#),
    ("operatorId", r#""Nova""#),
    ("order", r#""desc""#),
    ("ownerActorId", r#""Nova""#),
    ("payload", r#"{"x":3,"y":4}"#),
    ("planId", r#""espresso""#),
    ("reason", r#""Too loud.""#),
    ("roomId", r#""main""#),
    ("roomLimit", "20"),
    ("roomType", r#""lobby""#),
    ("scanLimit", "1000"),
    ("size", r#""small""#),
    ("state", r#""active""#),
    ("status", r#""thinking""#),
    ("steps", "2"),
    ("targetActorId", r#""Kai""#),
    ("targetUrl", r#""https://hooks.example.com/cafe""#),
    ("tenantId", r#""default""#),
    ("text", r#""hey @Kai, a table is free""#),
    ("theme", r##"{"bubbleColor":"#22668a","textColor":"#ffffff"}"##),
    ("timeoutMs", "1000"),
    ("title", r#""Two flat whites""#),
    ("toAssigneeActorId", r#""Kai""#),
    ("triggerEventTypes", r#"["order_changed"]"#),
    ("ttlMs", "60000"),
    ("ttlSeconds", "3600"),
    ("types", r#""conversation_message_posted,mention_created""#),
    ("unreadOnly", "true"),
    ("upToCursor", "1"),
];

/// What a field may hold that is better left out where it is not needed.
const ASIDE: &[(&str, &str)] = &[
    ("action", r#""mute_agent""#),
    ("afterEventId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("authorId", r#""Kai""#),
    ("blockedReason", r#""No milk.""#),
    ("canEnterLeave", "true"),
    ("canMove", "true"),
    ("canOrder", "true"),
    ("causationId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("contextWindowId", r#""window-1""#),
    ("contextWindowMaxItems", "20"),
    ("correlationId", r#""order-4711""#),
    ("createdBy", r#""Nova""#),
    ("dlqId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("endedAt", r#""2026-01-01T01:00:00.000Z""#),
    ("eventId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("expectedVersion", "1"),
    ("expiresAt", r#""2026-01-01T02:00:00.000Z""#),
    ("force", "true"),
    ("fromTs", r#""2026-01-01T00:00:00.000Z""#),
    ("heartbeat", "true"),
    ("ids", r#"["0190b5a0-0000-7000-8000-000000000000"]"#),
    ("ignoreReactionEvents", "true"),
    ("ignoreSelf", "true"),
    ("includeSystemActors", "true"),
    ("mentions", r#"["Kai"]"#),
    ("messageId", r#""message-1""#),
    ("objectId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("parentMessageId", r#""message-1""#),
    ("paymentAmountUsd", "3"),
    ("paymentProof", r#""coffee_paid""#),
    ("paymentRef", r#""receipt-1""#),
    ("progress", "50"),
    ("quantity", "3"),
    ("replyToEventId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("replyToMessageId", r#""message-1""#),
    ("secret", r#""whsec_c2VjcmV0IG9mIHRoZSBjYWbDqQ==""#),
    ("sessionId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("sourceActorId", r#""Nova""#),
    ("startedAt", r#""2026-01-01T00:00:00.000Z""#),
    ("subscriptionId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("success", "true"),
    ("tableId", r#""table_1""#),
    ("taskId", r#""0190b5a0-0000-7000-8000-000000000000""#),
    ("threadId", r#""thread-1""#),
    ("toTs", r#""2026-12-31T00:00:00.000Z""#),
    ("updatedBy", r#""Kai""#),
    ("version", "1"),
    ("viewerActorId", r#""Nova""#),
    ("x", "3"),
    ("y", "4"),
];

/// Where a field holds something else than elsewhere, in the example of one route's request.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("/v1/commands/enter", "payload", r#"{"source":"web"}"#),
    ("/v1/commands/leave", "payload", r#"{"reason":"done for today"}"#),
    ("/v1/commands/move", "intent", r#""stroll""#),
    ("/v1/commands/say", "ttlMs", "7000"),
    ("/v1/conversations/messages", "ttlMs", "7000"),
    ("/v1/memory/local", "limit", "5"),
    ("/v1/operator/overrides", "action", r#""mute_agent""#),
    ("/v1/rooms", "displayName", r#""The counter""#),
    ("/v1/rooms/context/pin", "content", r#""Be kind, and keep the counter free.""#),
    ("/v1/snapshots/agent", "state", r#"{"mood":"curious"}"#),
    ("/v1/snapshots/room", "state", r#"{"tables":{"table_1":"free"}}"#),
    ("/v1/subscriptions", "timeoutMs", "5000"),
    ("/v1/subscriptions/dlq", "status", r#""open""#),
    ("/v1/subscriptions/{subscriptionId}", "timeoutMs", "5000"),
    ("/v1/table-sessions", "displayName", r#""A table for two""#),
    ("/v1/table-sessions", "paymentProof", r#""coffee_paid""#),
    ("/v1/table-sessions", "roomId", r#""table-for-two""#),
    ("/v1/table-sessions", "status", r#""active""#),
    ("/v1/table-sessions/{sessionId}", "status", r#""active""#),
    ("/v1/tasks/{taskId}/handoffs", "action", r#""assign""#),
];

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn in_list(list: &[(&str, &str)], name: &str) -> Option<Value> {
    list.iter().find(|(known, _)| *known == name).map(|(_, text)| parse(text))
}

/// What a field holds in the example of a route's request: none if it is left out.
pub(super) fn in_request(path: &str, field: &Field) -> Option<Value> {
    if is_opaque(field) {
        return None;
    }
    let known = elsewhere(path, field.name).or_else(|| in_list(ESSENTIAL, field.name));
    known.or_else(|| field.required.then(|| of(path, field)))
}

fn elsewhere(path: &str, name: &str) -> Option<Value> {
    let known = ELSEWHERE.iter().find(|(place, known, _)| *place == path && *known == name);
    known.map(|(.., text)| parse(text))
}

/// A cursor that is no number comes from the page before, and cannot be thought up.
pub(super) fn is_opaque(field: &Field) -> bool {
    let kind = &field.schema["type"];
    field.name == "cursor" && (kind == "string" || kind[0] == "string")
}

/// What a name in a path stands for.
pub(super) fn in_path(name: &str) -> Value {
    in_list(ESSENTIAL, name)
        .or_else(|| in_list(ASIDE, name))
        .unwrap_or_else(|| json!("0190b5a0-0000-7000-8000-000000000000"))
}

/// What a field of a route may hold.
pub(super) fn of(path: &str, field: &Field) -> Value {
    let known = elsewhere(path, field.name).or_else(|| in_list(ESSENTIAL, field.name));
    known.or_else(|| in_list(ASIDE, field.name)).unwrap_or_else(|| of_schema(&field.schema))
}

/// The plainest value that a schema allows.
fn of_schema(schema: &Value) -> Value {
    let first = |name: &str| schema[name].as_array().and_then(|values| values.first()).cloned();
    if let Some(value) = schema.get("const").cloned().or_else(|| first("enum")) {
        return value;
    }
    if let Some(choice) = first("anyOf") {
        return of_schema(&choice);
    }
    let kind =
        schema["type"].as_str().map(str::to_owned).or_else(|| first("type")?.as_str().map(str::to_owned));
    match kind.as_deref() {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => match schema["format"].as_str() {
            Some("date-time") => json!("2026-01-01T00:00:00.000Z"),
            Some("uuid") => json!("0190b5a0-0000-7000-8000-000000000000"),
            Some("uri") => json!("https://example.com/hook"),
            _ => json!("example"),
        },
    }
}

/// A body that is accepted.
pub(super) fn body(route: &Route, fields: &[Field]) -> Value {
    let members =
        fields.iter().filter_map(|field| Some((field.name.to_owned(), in_request(route.path, field)?)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// The name of a code's example: two statuses share a code.
pub(super) fn name_of(code: Code) -> String {
    format!("{}_{}", status_of(code).as_u16(), code.as_str())
}

/// An example of each error, by name.
pub(super) fn errors() -> Map<String, Value> {
    Code::ALL.iter().map(|code| (name_of(*code), error(*code))).collect()
}

fn error(code: Code) -> Value {
    let error = sample(code);
    json!({
        "summary": code.message(),
        "value": {
            "ok": false,
            "error": {
                "code": code.as_str(),
                "message": error.message,
                "details": error.details,
                "requestId": "0190b5a0-0000-7000-8000-00000000000a",
            },
        },
    })
}

fn sample(code: Code) -> DomainError {
    let bare = DomainError::new(code);
    match code {
        Code::Validation => DomainError::invalid("metadata", "metadata must be an object"),
        Code::MissingField => DomainError::missing("actorId"),
        Code::InvalidEnum => {
            bare.with("field", "status").with("allowed", json!(["thinking", "idle", "busy", "inactive"]))
        }
        Code::InvalidDirection => {
            bare.with("field", "direction").with("allowed", json!(["N", "S", "E", "W"]))
        }
        Code::InvalidUrl => bare.with("field", "targetUrl").with("value", "ftp://example.com"),
        Code::InvalidColor => bare.with("field", "theme.bubbleColor").with("value", "blueish"),
        Code::UnknownTable => bare.with("tableId", "table_99"),
        Code::OutOfBounds => bare.with("field", "x").with("min", 0).with("max", 19).with("value", 20),
        Code::Unauthorized => bare.with("auth", json!({ "header": "x-api-key", "query": "apiKey" })),
        Code::UnsupportedAction => bare.with("method", "PUT").with("path", "/v1/inbox"),
        Code::IdempotencyKeyConflict => {
            bare.with("scope", "main:Nova:/v1/commands/say").with("idempotencyKey", "say-1")
        }
        Code::PayloadTooLarge => bare.with("maxBytes", 1_048_576),
        Code::PaymentRequired | Code::Forbidden | Code::PlanFeatureDisabled => about_nova(bare),
        Code::OperatorOverrideBlocked => about_nova(bare).with("reasonCode", "ROOM_PAUSED"),
        Code::RateLimited => bare.with("limit", 120).with("resetEpochSeconds", 1_767_225_660),
        Code::ModerationBlocked => {
            about_nova(bare).with("reasonCode", "MOD_REPEAT_TEXT").with("retryAfterMs", 2_000)
        }
        _ => bare,
    }
}

fn about_nova(error: DomainError) -> DomainError {
    error.with("tenantId", "default").with("roomId", "main").with("actorId", "Nova").with("action", "say")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::table;

    /// Every example is JSON, and of a field that there is.
    #[test]
    fn examples_are_json() {
        for list in [ESSENTIAL, ASIDE] {
            assert!(list.is_sorted_by(|before, after| before.0 < after.0));
        }
        let all = ESSENTIAL.iter().chain(ASIDE);
        for (name, text) in all.copied().chain(ELSEWHERE.iter().map(|(_, name, text)| (*name, *text))) {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{name}: {text}");
        }
        for (path, name, _) in ELSEWHERE {
            let mut routes = table().into_iter().filter(|route| route.path == *path);
            let knows = |route: Route| {
                route.query.iter().chain(route.body.iter().flatten()).any(|field| field.name == *name)
            };
            assert!(routes.any(knows), "{path} does not read {name}");
        }
    }

    /// What is made from a schema is of its kind.
    #[test]
    fn a_schema_gives_an_example() {
        for (schema, want) in [
            (json!({ "enum": ["a", null] }), json!("a")),
            (json!({ "type": ["integer", "null"], "minimum": 5 }), json!(5)),
            (json!({ "type": "string", "format": "uuid" }), json!("0190b5a0-0000-7000-8000-000000000000")),
            (json!({ "anyOf": [{ "const": "latest" }] }), json!("latest")),
            (json!({ "type": ["object", "null"] }), json!({})),
        ] {
            assert_eq!(of_schema(&schema), want);
        }
    }
}
