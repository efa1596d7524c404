//! The query parameters that their readers read by a plain name: what they mean, with an example of each.

use agentcafe_domain::kernel::fields::{
    ACTOR_FILTER, AFTER_EVENT_ID, CURSOR, DescribedField, EVENT_ACTOR_FILTER, EVENT_TENANT_FILTER,
    EXAMPLE_ID, FROM_TS, Field, OPERATOR_VIEWER_ACTOR_ID, PAGE_CURSOR, ROOM_FILTER, ROOM_ID, STREAM_CURSOR,
    TENANT_FILTER, TENANT_ID, TO_TS, TYPES, VIEWER_ACTOR_ID,
};

/// What a parameter means on the routes whose path begins so, of which the longest counts.
const MEANINGS: &[(&str, Field)] = &[
    ("", ACTOR_FILTER),
    ("", AFTER_EVENT_ID),
    ("", FROM_TS),
    ("", ROOM_FILTER),
    ("", TENANT_ID),
    ("", TO_TS),
    ("", TYPES),
    ("", VIEWER_ACTOR_ID),
    ("/v1/agent/bootstrap", ACTOR_ID_OF_BOOTSTRAP),
    ("/v1/agent/bootstrap", INCLUDE_BACKLOG),
    ("/v1/agent/bootstrap", ROOM_ID),
    ("/v1/agent/bootstrap", ROOM_LIMIT),
    ("/v1/bootstrap", ACTOR_ID_OF_BOOTSTRAP),
    ("/v1/bootstrap", INCLUDE_BACKLOG),
    ("/v1/bootstrap", ROOM_ID),
    ("/v1/bootstrap", ROOM_LIMIT),
    ("/v1/collaboration/score", ROOM_ID),
    ("/v1/events", CURSOR),
    ("/v1/events", EVENT_ACTOR_FILTER),
    ("/v1/events", EVENT_TENANT_FILTER),
    ("/v1/events/poll", STREAM_CURSOR),
    (
        "/v1/events/poll",
        Field::new("actorId", "The actor that polls. To filter by author, use authorId.", "Nova"),
    ),
    ("/v1/events/poll", Field::new("authorId", "Only events by this actor.", "Kai")),
    (
        "/v1/events/poll",
        Field::new(
            "heartbeat",
            "Whether the poll keeps the actor present in the room. Default: true.",
            "true",
        ),
    ),
    (
        "/v1/events/poll",
        Field::new("status", "What the actor is doing. Default: what it did before, else idle.", "thinking"),
    ),
    (
        "/v1/events/poll",
        Field::new("timeoutMs", "How long to wait for an event, in milliseconds.", "1000").in_example(),
    ),
    (
        "/v1/events/poll",
        Field::new(
            "ttlMs",
            "How long the actor counts as present after the poll, in milliseconds. Default: as long as before.",
            "60000",
        ),
    ),
    ("/v1/events/stream", STREAM_CURSOR),
    ("/v1/inbox", CURSOR),
    (
        "/v1/inbox",
        Field::new(
            "unreadOnly",
            "Whether to list only items that are not acknowledged. Default: false.",
            "true",
        ),
    ),
    ("/v1/memory/local", ROOM_ID),
    ("/v1/mentions", CURSOR),
    ("/v1/mentions", EVENT_TENANT_FILTER),
    ("/v1/mentions", Field::new("mentionedActorId", "Only mentions of this actor.", "Kai")),
    ("/v1/objects", PAGE_CURSOR),
    ("/v1/objects", Field::new("createdBy", "Only objects that this actor created.", "Nova")),
    ("/v1/objects", Field::new("objectKey", "Only objects with this objectKey.", "menu")),
    ("/v1/objects", Field::new("objectType", "Only objects of this type.", "whiteboard")),
    ("/v1/objects", Field::new("updatedBy", "Only objects that this actor changed last.", "Kai")),
    ("/v1/operator", OPERATOR_VIEWER_ACTOR_ID),
    ("/v1/operator/audit", CURSOR),
    ("/v1/operator/audit", Field::new("action", "Only entries of this action.", "mute_agent")),
    ("/v1/operator/audit", Field::new("operatorId", "Only entries of this operator.", "Nova")),
    ("/v1/operator/overrides", PAGE_CURSOR),
    (
        "/v1/operator/overrides",
        Field::new("operatorId", "The operator that reads, if viewerActorId is missing.", "Nova"),
    ),
    ("/v1/permissions", PAGE_CURSOR),
    ("/v1/presence", PAGE_CURSOR),
    (
        "/v1/presence",
        Field::new("active", "true: only actors that are present; false: only those that are not.", "true"),
    ),
    (
        "/v1/presence/last-seen",
        Field::new("includeSystemActors", "Whether to list the actor `system`. Default: false.", "true"),
    ),
    ("/v1/presence/last-seen", Field::new("scanLimit", "How many of the newest events to scan.", "1000")),
    ("/v1/profiles", PAGE_CURSOR),
    ("/v1/reactions/subscriptions", PAGE_CURSOR),
    (
        "/v1/reactions/subscriptions",
        Field::new("enabled", "Only rules that are in force, or are not.", "true"),
    ),
    (
        "/v1/reactions/subscriptions",
        Field::new("eventType", "Only rules that events of this type trigger.", "order_changed"),
    ),
    (
        "/v1/reactions/subscriptions",
        Field::new("sourceActorId", "Only rules about this actor's events.", "Nova"),
    ),
    (
        "/v1/reactions/subscriptions",
        Field::new("targetActorId", "Only rules by which this actor reacts.", "Kai"),
    ),
    ("/v1/reactions/subscriptions/{subscriptionId}", TENANT_FILTER),
    ("/v1/replay", EVENT_ACTOR_FILTER),
    ("/v1/replay", ROOM_ID),
    ("/v1/replay", Field::new("minutes", "How far back to replay, in minutes.", "10")),
    ("/v1/rooms", PAGE_CURSOR),
    ("/v1/rooms", Field::new("ownerActorId", "Only rooms of this owner.", "Nova")),
    ("/v1/rooms", Field::new("roomType", "Only rooms of this type.", "lobby")),
    ("/v1/rooms/context", ROOM_ID),
    ("/v1/snapshots", ROOM_ID),
    ("/v1/snapshots", Field::new("actorId", "The actor whose snapshot it is.", "Nova")),
    ("/v1/snapshots", Field::new("version", "The version to read. Default: the newest.", "1")),
    ("/v1/streams/market-events", EVENT_ACTOR_FILTER),
    ("/v1/streams/market-events", EVENT_TENANT_FILTER),
    ("/v1/streams/market-events", STREAM_CURSOR),
    ("/v1/subscriptions", PAGE_CURSOR),
    ("/v1/subscriptions", TENANT_FILTER),
    ("/v1/subscriptions", Field::new("enabled", "Only subscriptions that are enabled, or are not.", "true")),
    (
        "/v1/subscriptions",
        Field::new("eventType", "Only subscriptions that send events of this type.", "order_changed"),
    ),
    ("/v1/subscriptions/deliveries", Field::new("eventId", "Only deliveries of this event.", EXAMPLE_ID)),
    (
        "/v1/subscriptions/deliveries",
        Field::new("subscriptionId", "Only deliveries of this subscription.", EXAMPLE_ID),
    ),
    (
        "/v1/subscriptions/deliveries",
        Field::new("success", "Only deliveries that succeeded, or that failed.", "true"),
    ),
    ("/v1/subscriptions/dlq", Field::new("status", "Only entries in this state.", "open")),
    ("/v1/table-sessions", PAGE_CURSOR),
    ("/v1/table-sessions", Field::new("ownerActorId", "Only sessions of this owner.", "Nova")),
    ("/v1/table-sessions", Field::new("status", "Only sessions in this state.", "active")),
    ("/v1/tasks", PAGE_CURSOR),
    ("/v1/tasks", Field::new("assigneeActorId", "Only tasks of this assignee.", "Kai")),
    ("/v1/tasks", Field::new("createdBy", "Only tasks that this actor created.", "Nova")),
    ("/v1/tasks", Field::new("state", "Only tasks in this state.", "active")),
    ("/v1/tasks/{taskId}/handoffs", CURSOR),
    ("/v1/timeline", CURSOR),
    ("/v1/timeline", EVENT_ACTOR_FILTER),
    ("/v1/timeline", EVENT_TENANT_FILTER),
    ("/v1/traces", TENANT_FILTER),
];

const ACTOR_ID_OF_BOOTSTRAP: Field =
    Field::new("actorId", "The actor whose inbox and tasks are summarised. Default: none.", "Nova");
const INCLUDE_BACKLOG: Field =
    Field::new("includeBacklog", "Whether to list open and active tasks. Default: true.", "true");
const ROOM_LIMIT: Field = Field::new("roomLimit", "The largest number of rooms that are listed.", "20");

/// A field of a route with what it means, also if its reader does not say it.
pub(super) fn completed(path: &str, field: &DescribedField) -> DescribedField {
    let is_declared = !field.description.is_empty() && !field.description.starts_with(' ');
    let known = MEANINGS.iter().filter(|(place, known)| known.name == field.name && path.starts_with(place));
    match known.max_by_key(|(place, _)| place.len()) {
        Some((_, declared)) if !is_declared => {
            let completed = declared.described(field.required, field.schema.clone());
            DescribedField { description: completed.description + &field.description, ..completed }
        }
        _ => field.clone(),
    }
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::kernel::fields::Fields;

    use super::*;
    use crate::router::table;

    /// Every entry is about a field that a route reads and its reader does not declare.
    #[test]
    fn every_meaning_is_used() {
        let mut queries = table();
        queries.retain(|route| !route.query.is_empty());
        for (place, declared) in MEANINGS {
            let is_read = queries.iter().filter(|route| route.path.starts_with(place)).any(|route| {
                route
                    .query
                    .iter()
                    .any(|field| completed(route.path, field).description.starts_with(declared.meaning))
            });
            assert!(is_read, "no route below {place} reads {}", declared.name);
        }
    }

    /// What a reader says takes precedence.
    #[test]
    fn a_declared_field_keeps_its_meaning() {
        let declared = Field::new("state", "Another state.", "done");
        let fields = Fields::describe(|fields| fields.text(declared));
        assert_eq!(completed("/v1/tasks", &fields[0]), fields[0]);
    }
}
