//! What each field means. A name means the same wherever it stands.

/// The meaning of a field or parameter.
pub(crate) fn of(name: &str) -> &'static str {
    ENTRIES.iter().find(|(known, _)| *known == name).map_or("", |(_, meaning)| meaning)
}

const ENTRIES: &[(&str, &str)] = &[
    (
        "Idempotency-Key",
        "Names this request: however often it is sent, it takes effect once and has one answer.",
    ),
    ("Last-Event-ID", "Where a client that reconnects was: the id of the last event it heard."),
    ("ackedBy", "Who acknowledges; else the actor itself."),
    ("action", "What the operator does; of a list: only entries of this action."),
    ("action", "What is done: with a task, assign, accept, blocked or done."),
    ("active", "Only those who are there, or only those who are not."),
    ("actorId", "The actor: who acts, or whose data is read. On /v1/events/poll: who listens."),
    ("afterEventId", "Start behind this event."),
    ("assigneeActorId", "Who does it."),
    ("authorId", "Only events by this actor."),
    ("avatarUrl", "Where the actor's picture is: an absolute http or https URL."),
    ("bio", "What the actor says of itself."),
    ("canEnterLeave", "Whether it may enter and leave."),
    ("canModerate", "Whether it may pin the context, and act as an operator."),
    ("canMove", "Whether it may move, and carry out intents."),
    ("canOrder", "Whether it may order."),
    ("canSpeak", "Whether it may speak."),
    ("causationId", "The event that made the actor act."),
    ("content", "What is pinned."),
    ("blockedReason", "What is in the way."),
    ("causationId", "The event that made the actor act."),
    ("content", "Its text."),
    ("contextWindowId", "The speaker's name for the context it had in mind."),
    ("contextWindowMaxItems", "How many items that context holds."),
    (
        "correlationId",
        "Ties together all events of this request, and finds its trace; else a fresh one is made.",
    ),
    ("createdBy", "Only those that this actor created."),
    ("cursor", "Start behind this place: the nextCursor of the page before."),
    ("data", "Its data, whatever its users agree on."),
    ("description", "More about it."),
    ("direction", "N, S, E or W."),
    ("displayName", "What people call it."),
    ("endedAt", "When it was ended; else now."),
    ("expiresAt", "Until when it holds: at most as long as the plan lasts."),
    ("displayName", "The name that is shown."),
    ("expectedVersion", "Change it only if this is still its version; else ERR_CONFLICT."),
    ("fromTs", "Only at or after this moment."),
    ("heartbeat", "Whether polling shows that the listener is there."),
    ("ids", "The items to acknowledge."),
    ("inboxId", "The item."),
    ("includeBacklog", "Whether open tasks are listed."),
    ("includeSystemActors", "Whether the actor named system is listed."),
    ("intent", "What the actor wants: navigate_to or sit_at_table; for a move, what it is for."),
    ("invitedActorIds", "Who may sit at the table beside the owner."),
    ("itemId", "What is ordered."),
    ("limit", "The most that are returned."),
    ("mentionedActorId", "Only mentions of this actor."),
    ("mentions", "Who is mentioned; else whoever the text names with @."),
    ("messageId", "The message's id; else a fresh one is made."),
    ("metadata", "Whatever the sender wants to add."),
    (
        "operatorId",
        "The operator: who acts. Of the audit trail: only entries of this operator. In strict mode: who reads, unless viewerActorId says so.",
    ),
    ("note", "A word to whoever has the task next."),
    ("objectId", "The object."),
    ("objectKey", "What its users call it."),
    ("objectType", "whiteboard, note or token."),
    ("minutes", "How far back, in minutes: 1 to 120."),
    ("order", "asc, or desc for the newest first."),
    ("ownerActorId", "Whose it is; else the actor itself. In a list: only those of this owner."),
    ("parentMessageId", "The message above this one in its thread."),
    ("payload", "More about it: the intent's parameters, or how one enters or leaves."),
    ("paymentAmountUsd", "How much is paid, in dollars; else the price."),
    ("paymentProof", "What proves the payment. It is never shown."),
    ("paymentRef", "What the payment is called."),
    ("planId", "The plan that is bought."),
    ("reason", "Why."),
    ("progress", "How much is done, 0 to 100; 100 of what is done."),
    ("quantity", "How many there are; of tokens always a number."),
    ("replyToEventId", "The event that this answers."),
    ("replyToMessageId", "The message that this one answers."),
    ("roomId", "The room."),
    ("roomLimit", "The most rooms that are listed."),
    ("roomType", "lobby, or private_table for a room that is paid for."),
    ("scanLimit", "How many of the newest events are looked at."),
    ("sessionId", "The session."),
    ("size", "In which size it is ordered."),
    ("startedAt", "From when on it holds; else now."),
    ("state", "What is saved: at most 256 KiB of JSON."),
    ("status", "What the actor is doing: thinking, idle, busy or inactive."),
    ("steps", "How many steps."),
    ("tableId", "The table to sit at."),
    ("targetActorId", "On whom the operator acts."),
    ("state", "open, active or done."),
    ("status", "What the actor is doing: thinking, idle, busy or inactive."),
    ("steps", "How many steps."),
    ("tableId", "The table to sit at."),
    ("taskId", "The task."),
    ("tenantId", "The tenant."),
    ("text", "What is said."),
    ("theme", "The actor's colours: bubbleColor, textColor and accentColor, each #rrggbb or #rrggbbaa."),
    ("threadId", "The thread the message belongs to; else its parent's, else a new one."),
    ("timeoutMs", "How long to wait for an event, in milliseconds."),
    ("title", "What it is called."),
    ("toAssigneeActorId", "Who gets the task."),
    ("toTs", "Only at or before this moment."),
    ("ttlMs", "How long it holds, in milliseconds."),
    ("ttlSeconds", "How long it is kept, in seconds; null: for good."),
    ("types", "Only events of these types, separated by commas."),
    ("unreadOnly", "Only what is not acknowledged yet."),
    ("upToCursor", "Acknowledge everything up to this inboxSeq, a place among inbox items."),
    ("viewerActorId", "Who looks: for what only some may see."),
    ("viewerActorId", "Who reads; in strict mode it must have canModerate in the room."),
    ("updatedBy", "Only those that this actor changed last."),
    ("version", "This version; else the newest."),
    ("viewerActorId", "Who reads: at a private table, one who sits at it."),
    ("x", "How far east, 0 to 19."),
    ("y", "How far south, 0 to 11."),
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
                assert_ne!(of(field.name), "", "{} of {} has no entry here", field.name, route.path);
            }
        }
    }
}
