//! The AsyncAPI document: the event streams of the API and of realtime, and the frames that they send.

use agentcafe_domain::event_schemas::AnyEvent;
use agentcafe_domain::kernel::{DescribedField, EventType, Rules};
use agentcafe_domain::projection::RoomSnapshot;
use bytes::Bytes;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::openapi::{errors, schemas};
use crate::route::{Route, schema_of};

/// The frames of the API, in the order in which a stream may send them.
const API_FRAMES: &[&str] = &["reset", "ready", "event", "gap", "heartbeat", "error"];
/// The frames of realtime, likewise.
const REALTIME_FRAMES: &[&str] = &["reset", "snapshot", "gap", "event", "roomReady", "heartbeat", "error"];

/// Renders the document. The parameters of the API's streams are those of this route.
pub(crate) fn document(rules: &Rules, stream: &Route) -> Bytes {
    let mut generator = schemas::generator();
    let messages = messages(&mut generator);
    let mut schemas = generator.take_definitions(true);
    // Other than in OpenAPI, it is a name.
    if let Some(Value::Object(event)) = schemas.get_mut("Event") {
        event.insert("discriminator".to_owned(), "type".into());
    }
    let query = query_schema(&stream.fields(rules).0);
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "AgentCafe",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The event streams of the API and of the realtime service. Over server-sent events, a frame's id, event and data are the fields of these names; over a WebSocket, a frame is a text message with a JSON object of them.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "servers": {
            "api": server("127.0.0.1:3850", "http"),
            "apiSocket": server("127.0.0.1:3850", "ws"),
            "realtime": server("127.0.0.1:3851", "http"),
            "realtimeSocket": server("127.0.0.1:3851", "ws"),
        },
        "channels": {
            "events": channel("api", stream.path, "The log, as server-sent events.", API_FRAMES, &query),
            "eventSocket": channel("apiSocket", "/v1/ws", "The log, over a WebSocket.", API_FRAMES, &query),
            "room": channel("realtime", "/v1/stream", "A room, as server-sent events.", REALTIME_FRAMES, &Value::Null),
            "roomSocket": channel("realtimeSocket", "/v1/ws", "A room, over a WebSocket.", REALTIME_FRAMES, &Value::Null),
        },
        "operations": {
            "sendEvents": operation("events"),
            "sendEventsOverSocket": operation("eventSocket"),
            "sendRoom": operation("room"),
            "sendRoomOverSocket": operation("roomSocket"),
        },
        "components": { "messages": messages, "schemas": schemas, "securitySchemes": {
            "apiKey": { "type": "httpApiKey", "in": "header", "name": "x-api-key",
                        "description": "An API key, or the shared token." },
            "bearer": { "type": "http", "scheme": "bearer", "description": "The same, as a bearer token." },
            "ticket": { "type": "httpApiKey", "in": "query", "name": "ticket",
                        "description": "A ticket from POST /v1/tickets, for one stream." },
        } },
    });
    document.to_string().into()
}

fn server(host: &str, protocol: &str) -> Value {
    let security =
        ["apiKey", "bearer", "ticket"].map(|name| reference(&["components", "securitySchemes", name]));
    json!({ "host": host, "protocol": protocol, "security": security,
            "description": "With the default settings." })
}

fn reference(path: &[&str]) -> Value {
    let escaped: Vec<String> = path.iter().map(|part| part.replace('/', "~1")).collect();
    json!({ "$ref": format!("#/{}", escaped.join("/")) })
}

fn channel(server: &str, address: &str, summary: &str, frames: &[&str], query: &Value) -> Value {
    let message = |name: &&str| ((*name).to_owned(), reference(&["components", "messages", name]));
    let messages: Map<String, Value> = frames.iter().map(message).collect();
    let mut channel = json!({ "address": address, "summary": summary, "messages": messages,
                              "servers": [reference(&["servers", server])] });
    if query.is_object() {
        channel["bindings"] = json!({ "ws": { "method": "GET", "query": query } });
    }
    channel
}

/// The server sends the frames of a channel.
fn operation(channel: &str) -> Value {
    json!({ "action": "send", "channel": reference(&["channels", channel]) })
}

/// The parameters as the members of an object.
fn query_schema(fields: &[DescribedField]) -> Value {
    let property = |field: &DescribedField| {
        let mut schema = field.schema.clone();
        schema["description"] = field.description.as_str().into();
        (field.name.to_owned(), schema)
    };
    json!({ "type": "object", "properties": Map::from_iter(fields.iter().map(property)) })
}

/// Each frame, by its name.
fn messages(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let id = json!({ "type": "integer", "minimum": 1, "description": "The sequence of the event." });
    let kind = schema_of::<EventType>(generator);
    let event = json!({ "type": "object", "required": ["id", "event", "data"],
                        "properties": { "id": id, "event": kind, "data": schema_of::<AnyEvent>(generator) } });
    let control = control_data(generator).into_iter().map(|(name, summary, data)| {
        let event = if name == "roomReady" { "ready" } else { name };
        let payload = json!({ "type": "object", "required": ["event", "data"],
                              "properties": { "event": { "const": event }, "data": data } });
        (name.to_owned(), message(event, summary, payload))
    });
    let event = message("event", "An event of the log. Its name is the event's type.", event);
    control.chain([("event".to_owned(), event)]).collect()
}

fn message(name: &str, summary: &str, payload: Value) -> Value {
    json!({ "name": name, "summary": summary, "payload": payload })
}

/// The data of each frame that is no event: its name, what it says, and its schema.
fn control_data(generator: &mut SchemaGenerator) -> [(&'static str, &'static str, Value); 7] {
    let sequence = json!({ "type": "integer", "minimum": 0 });
    let text = json!({ "type": "string" });
    let filter = json!({ "type": ["string", "null"] });
    let flag = json!({ "type": "boolean" });
    let types = json!({ "type": "array", "items": text });
    let state = schema_of::<RoomSnapshot>(generator);
    [
        (
            "ready",
            "The stream begins: its filters, its cursor, and the head of the log.",
            object(
                json!({ "tenantId": filter, "roomId": filter, "actorId": filter, "cursor": sequence, "types": types,
                        "head": sequence, "logId": text, "lastEventIdIgnored": flag }),
                &[],
            ),
        ),
        (
            "roomReady",
            "The backlog was sent, which had so many events; live events follow.",
            object(
                json!({ "tenantId": text, "roomId": text, "replayed": sequence, "requestId": text,
                        "head": sequence, "logId": text, "lastEventIdIgnored": flag }),
                &[],
            ),
        ),
        (
            "snapshot",
            "The room after all events up to lastCursor. The state is null if it was left out, or is not known.",
            object(
                json!({ "tenantId": text, "roomId": text, "actorId": filter, "types": types,
                        "lastCursor": sequence, "sourceConnected": flag, "omittedStateBytes": sequence,
                        "state": { "anyOf": [state, { "type": "null" }] } }),
                &["omittedStateBytes"],
            ),
        ),
        (
            "gap",
            "Events after fromCursor up to toCursor are left out: the client limited the backlog, or they are damaged.",
            object(json!({ "fromCursor": sequence, "toCursor": sequence, "damaged": flag }), &["damaged"]),
        ),
        (
            "reset",
            "The cursor of the client is not of this log.",
            object(
                json!({ "head": sequence, "logId": text, "reason": { "enum": ["cursor_ahead", "other_log"] } }),
                &[],
            ),
        ),
        (
            "heartbeat",
            "There was no event for a while: the log was scanned up to the cursor. The time is in milliseconds since 1970.",
            object(json!({ "cursor": sequence, "ts": sequence }), &[]),
        ),
        (
            "error",
            "The stream ends; reconnect with the cursor. If it did not begin, the data is the error of a failed request.",
            object(
                json!({ "code": { "enum": errors::names() }, "cursor": sequence, "message": text,
                        "details": { "type": "object" }, "requestId": text }),
                &["cursor", "message", "details", "requestId"],
            ),
        ),
    ]
}

/// An object that has all of these members but the optional ones.
fn object(properties: Value, optional: &[&str]) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<&String> = names.filter(|name| !optional.contains(&name.as_str())).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}
