//! What each field means. A name means the same wherever it stands.

/// The meaning of a name.
pub(crate) fn of(name: &str) -> &'static str {
    ENTRIES.iter().find(|(known, _)| *known == name).map_or("", |(_, meaning)| meaning)
}

/// The meaning of a field or parameter of a route.
pub(crate) fn at(path: &str, name: &str) -> &'static str {
    let known = ELSEWHERE.iter().filter(|(place, known, _)| *known == name && path.starts_with(place));
    known.max_by_key(|(place, ..)| place.len()).map_or_else(|| of(name), |(.., meaning)| meaning)
}

/// What a name means nearly everywhere.
const ENTRIES: &[(&str, &str)] = &[
    (
        "Idempotency-Key",
        "Names this request: however often it is sent, it takes effect once and has one answer.",
    ),
    ("Last-Event-ID", "Where a client that reconnects was: the id of the last event it heard."),
    ("ackedBy", "Who acknowledges; else the actor itself."),
    ("action", "What is done."),
    (
        "actionPayload",
        "How it is done. To say: text, ttlMs, mentions; to move: direction, steps; to order: itemId, size.",
    ),
    ("actionType", "What the target does: say, move or order."),
    ("active", "Only those who are there, or only those who are not."),
    ("actorId", "The actor: who acts, or whose data is read."),
    ("afterEventId", "Start behind this event."),
    ("assigneeActorId", "Who does it."),
    ("authorId", "Only events by this actor."),
    ("avatarUrl", "Where the actor's picture is: an absolute http or https URL."),
    ("backoffMs", "The pause before the first retry, in milliseconds; doubled before each further one."),
    ("bio", "What the actor says of itself."),
    ("blockedReason", "What is in the way."),
    ("canEnterLeave", "Whether it may enter and leave."),
    ("canModerate", "Whether it may pin the context, and act as an operator."),
    ("canMove", "Whether it may move, and carry out intents."),
    ("canOrder", "Whether it may order."),
    ("canSpeak", "Whether it may speak."),
    ("causationId", "The event that made the actor act."),
    ("content", "Its text."),
    ("contextWindowId", "The speaker's name for the context it had in mind."),
    ("contextWindowMaxItems", "How many items that context holds."),
    ("cooldownMs", "How long a rule rests after it was triggered, in milliseconds; 0: not at all."),
    (
        "correlationId",
        "Ties together all events of this request, and finds its trace; else a fresh one is made.",
    ),
    ("createdBy", "Who made it; in a list: only what this actor made."),
    ("cursor", "Start behind this place: the nextCursor of the page before."),
    ("data", "Its data, whatever its users agree on."),
    ("description", "More about it."),
    ("direction", "N, S, E or W."),
    ("displayName", "The name that is shown."),
    ("dlqId", "The entry."),
    ("enabled", "Whether it is in force; in a list: only what is, or only what is not."),
    ("endedAt", "When it was ended; else now."),
    ("eventId", "The event; in a list: only what is about it."),
    ("eventType", "Only those that are for events of this type."),
    ("eventTypes", "The types of events to be told of; * stands for all."),
    ("expectedVersion", "Change it only if this is still its version; else ERR_CONFLICT."),
    ("expiresAt", "Until when it holds: at most as long as the plan lasts."),
    ("force", "Whether to send again what has arrived."),
    ("fromTs", "Only at or after this moment."),
    ("heartbeat", "Whether polling shows that the listener is there."),
    ("ids", "The items to acknowledge."),
    ("ignoreReactionEvents", "Whether what reactions did triggers nothing."),
    ("ignoreSelf", "Whether what the target itself did triggers nothing."),
    ("inboxId", "The item."),
    ("includeBacklog", "Whether open tasks are listed."),
    ("includeSystemActors", "Whether the actor named system is listed."),
    ("intent", "What the actor wants: navigate_to or sit_at_table; for a move, what it is for."),
    ("invitedActorIds", "Who may sit at the table beside the owner."),
    ("itemId", "What is ordered."),
    ("limit", "The most that are returned."),
    ("maxRetries", "How often a delivery that failed is tried again."),
    ("mentionedActorId", "Only mentions of this actor."),
    ("mentions", "Who is mentioned; else whoever the text names with @."),
    ("messageId", "The message's id; else a fresh one is made."),
    ("metadata", "Whatever the sender wants to add."),
    ("minutes", "How far back, in minutes: 1 to 120."),
    ("note", "A word to whoever has the task next."),
    ("objectId", "The object."),
    ("objectKey", "What its users call it."),
    ("objectType", "whiteboard, note or token."),
    ("operatorId", "The operator who acts; in a list: only what this operator did."),
    ("order", "asc, or desc for the newest first."),
    ("ownerActorId", "Whose it is; else the actor itself. In a list: only those of this owner."),
    ("parentMessageId", "The message above this one in its thread."),
    ("payload", "More about it: the intent's parameters, or how one enters or leaves."),
    ("paymentAmountUsd", "How much is paid, in dollars; else the price."),
    ("paymentProof", "What proves the payment. It is never shown."),
    ("paymentRef", "What the payment is called."),
    ("planId", "The plan that is bought."),
    ("progress", "How much is done, 0 to 100; 100 of what is done."),
    ("quantity", "How many there are; of tokens always a number."),
    ("reason", "Why."),
    ("replyToEventId", "The event that this answers."),
    ("replyToMessageId", "The message that this one answers."),
    ("roomId", "The room."),
    ("roomLimit", "The most rooms that are listed."),
    ("roomType", "lobby, or private_table for a room that is paid for."),
    ("scanLimit", "How many of the newest events are looked at."),
    ("secret", "What deliveries are signed with; else one is made. It is shown once."),
    ("sessionId", "The session."),
    ("size", "In which size it is ordered."),
    ("sourceActorId", "Only what this actor does."),
    ("startedAt", "From when on it holds; else now."),
    ("state", "open, active or done."),
    ("status", "What the actor is doing: thinking, idle, busy or inactive."),
    ("steps", "How many steps."),
    ("subscriptionId", "The subscription."),
    ("success", "Only what arrived, or only what did not."),
    ("tableId", "The table to sit at."),
    ("targetActorId", "Whom it is about."),
    ("targetUrl", "Where events are sent."),
    ("taskId", "The task."),
    ("tenantId", "The tenant; else default."),
    ("text", "What is said."),
    ("theme", "The actor's colours: bubbleColor, textColor and accentColor, each #rrggbb or #rrggbbaa."),
    ("threadId", "The thread the message belongs to; else its parent's, else a new one."),
    ("timeoutMs", "How long to wait, in milliseconds."),
    ("title", "What it is called."),
    ("toAssigneeActorId", "Who gets the task."),
    ("toTs", "Only at or before this moment."),
    ("triggerEventTypes", "Which types of events trigger it; * is every type."),
    ("ttlMs", "How long it holds, in milliseconds."),
    ("ttlSeconds", "How long it is kept, in seconds; null: for good."),
    ("types", "Only events of these types, separated by commas."),
    ("unreadOnly", "Only what is not acknowledged yet."),
    ("upToCursor", "Acknowledge everything up to this inboxSeq, a place among inbox items."),
    ("updatedBy", "Only those that this actor changed last."),
    ("version", "This version; else the newest."),
    ("viewerActorId", "Who reads: at a private table, one who sits at it."),
    ("x", "How far east, 0 to 19."),
    ("y", "How far south, 0 to 11."),
];

/// Where a name means something else: on routes whose path begins so, of which the longest counts.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("/v1/events", "actorId", "Only events by this actor."),
    (
        "/v1/events",
        "tenantId",
        "Only events of this tenant; else of all, unless PRIVATE_TABLE_READ_GATE is members.",
    ),
    ("/v1/events/poll", "actorId", "Who listens; to filter by author there is authorId."),
    ("/v1/events/poll", "timeoutMs", "How long to wait for an event, in milliseconds."),
    (
        "/v1/mentions",
        "tenantId",
        "Only mentions in this tenant; else in all, unless PRIVATE_TABLE_READ_GATE is members.",
    ),
    ("/v1/operator", "action", "What the operator does; in the audit trail: only entries of this action."),
    ("/v1/operator", "targetActorId", "On whom the operator acts; for a room nobody."),
    ("/v1/operator", "viewerActorId", "Who reads; in strict mode it must have canModerate in the room."),
    ("/v1/permissions", "operatorId", "Who grants; in strict mode it must have canModerate in the room."),
    (
        "/v1/reactions/subscriptions",
        "actorId",
        "Who changes or deletes it: in strict mode, the target itself or an operator of the room.",
    ),
    (
        "/v1/reactions/subscriptions",
        "createdBy",
        "Who makes it: in strict mode, the target itself or an operator of the room.",
    ),
    (
        "/v1/reactions/subscriptions",
        "roomId",
        "Only events of this room trigger it; else those of every room of the tenant.",
    ),
    ("/v1/reactions/subscriptions", "targetActorId", "Who reacts."),
    ("/v1/replay", "actorId", "Only events by this actor."),
    ("/v1/rooms/context/pin", "content", "What is pinned."),
    ("/v1/snapshots", "state", "What is saved: at most 256 KiB of JSON."),
    ("/v1/streams/market-events", "actorId", "Only events by this actor."),
    (
        "/v1/streams/market-events",
        "tenantId",
        "Only events of this tenant; else of all, unless PRIVATE_TABLE_READ_GATE is members.",
    ),
    ("/v1/subscriptions", "actorId", "Only events by this actor; at a private table, who sits at it."),
    ("/v1/subscriptions", "roomId", "Only events of this room; else of every room of the tenant."),
    ("/v1/subscriptions", "timeoutMs", "How long a delivery may take, in milliseconds."),
    ("/v1/subscriptions/deliveries", "subscriptionId", "Only deliveries of this subscription."),
    ("/v1/subscriptions/dlq", "actorId", "Who asks for it; else nobody."),
    ("/v1/subscriptions/dlq", "roomId", "The room in the scope of the idempotency key; else none."),
    ("/v1/subscriptions/dlq", "status", "Only entries that are open, or only those that are resolved."),
    ("/v1/table-sessions", "status", "active or ended."),
    ("/v1/tasks/{taskId}/handoffs", "action", "What is done with the task: assign, accept, blocked or done."),
    ("/v1/timeline", "actorId", "Only events by this actor."),
    (
        "/v1/timeline",
        "tenantId",
        "Only events of this tenant; else of all, unless PRIVATE_TABLE_READ_GATE is members.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::table;

    /// The OpenAPI document describes every field of every route.
    #[test]
    fn every_field_has_a_meaning() {
        for route in table() {
            let fields = route.query.iter().chain(route.body.iter().flatten());
            for field in fields {
                assert_ne!(
                    at(route.path, field.name),
                    "",
                    "{} of {} has no entry here",
                    field.name,
                    route.path
                );
            }
        }
    }

    /// A name has one entry, and where it means something else, a route reads it.
    #[test]
    fn entries_are_sorted_and_used() {
        assert!(ENTRIES.is_sorted_by(|before, after| before.0 < after.0));
        assert!(ELSEWHERE.is_sorted_by(|before, after| (before.0, before.1) < (after.0, after.1)));
        for (place, name, _) in ELSEWHERE {
            let is_read = table().iter().filter(|route| route.path.starts_with(place)).any(|route| {
                route.query.iter().chain(route.body.iter().flatten()).any(|field| field.name == *name)
            });
            assert!(is_read, "no route below {place} reads {name}");
        }
    }
}
