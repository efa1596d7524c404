//! What the members of answers mean that have no doc comment. A name means the same wherever it stands, unless an entry names
//! the schema too.

use serde_json::{Map, Value};

/// Gives every property of every schema that has no description one.
pub(super) fn describe_all(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas {
        describe(schema, name);
    }
}

/// Gives every property in a schema that has no description one. Links in doc comments lead nowhere here.
fn describe(schema: &mut Value, schema_name: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (name, property) in properties {
                    if let Value::Object(property) = property
                        && !property.contains_key("description")
                        && let Some(meaning) = meaning(schema_name, name)
                    {
                        property.insert("description".to_owned(), meaning.into());
                    }
                }
            }
            members.values_mut().for_each(|member| describe(member, schema_name));
        }
        Value::Array(members) => members.iter_mut().for_each(|member| describe(member, schema_name)),
        _ => {}
    }
}

fn meaning(schema: &str, name: &str) -> Option<&'static str> {
    let find = |wanted: &str| ENTRIES.iter().find(|(known, _)| *known == wanted).map(|(_, meaning)| *meaning);
    find(&format!("{schema}.{name}")).or_else(|| find(name))
}

const ENTRIES: &[(&str, &str)] = &[
    ("AuditResponse.entries", "The entries, in the order of the list."),
    ("Health.reactions", "What the reaction engine has done since the process started."),
    ("Health.webhooks", "What the webhook sender has done since the process started."),
    ("PresencesResponse.presence", "The presences in the room."),
    ("Reactions.failed", "The number of reactions that failed."),
    ("Reactions.inFlight", "The number of reactions in progress."),
    ("Reactions.processed", "The number of events that were matched against the rules."),
    ("Reactions.queued", "The number of events in the queue."),
    ("Reactions.skipped", "The number of matches that led to no reaction."),
    ("Reactions.triggered", "The number of reactions that took effect."),
    ("Replayed.snapshot", "The room as these events make it, starting from an empty room."),
    ("Replayed.window", "The part of the log that was replayed."),
    ("RoomResponse.room", "The room."),
    ("Scored.collaboration", "The score and its parts."),
    ("Scored.window", "The time span that was counted."),
    ("SnapshotResponse.snapshot", "The snapshot."),
    ("Webhooks.delivered", "The number of successful deliveries."),
    ("Webhooks.dlq", "The number of events that were given up."),
    ("Webhooks.failed", "The number of failed attempts."),
    ("Webhooks.inFlight", "The number of attempts in progress."),
    ("Webhooks.processed", "The number of events that were delivered or given up."),
    ("Webhooks.queued", "The number of events in the queue."),
    ("Webhooks.retried", "The number of attempts that were retries."),
    ("Window.endCursor", "The sequence of the last event; null if there is none."),
    ("Window.minutes", "The length of the window, in minutes."),
    ("Window.startCursor", "The sequence of the first event; null if there is none."),
    ("actionPayload", "How the target does it. Its members depend on actionType."),
    ("actionType", "What the target does."),
    ("actor", "The actor that asks, with its inbox and its tasks; null without actorId."),
    ("actors", "One entry for each actor."),
    ("assignedTasks", "Tasks of the actor that are open or active."),
    ("bootstrappedAt", "When the process started to count."),
    ("canonicalApiVersion", "The API version with which paths begin."),
    ("commandsPath", "The path of commands; the name of the command follows."),
    ("cooldownMs", "How long an actor is blocked after it exceeded a limit, in milliseconds."),
    ("count", "The number of entries in this answer."),
    ("counters", "Where unread items are counted."),
    ("cursor", "The head of the log: the sequence of the last event."),
    ("defaultPlanId", "The plan of requests that name none."),
    ("defaultRoomId", "The room of requests that name none."),
    ("defaultSessionMinutes", "How long a session lasts if its plan does not say, in minutes."),
    ("defaultTenantId", "The tenant of requests that name none."),
    ("deliveries", "The attempts, newest first."),
    ("discovery", "The paths and defaults of the API."),
    ("dlq", "The entries, newest first."),
    ("enabled", "Whether it is in use."),
    ("eventsConsidered", "The number of events that were counted."),
    ("fromTs", "The start of the time span; null: the beginning of the log."),
    ("heartbeatPath", "The path of presence heartbeats."),
    ("history", "The versions of the pinned context, newest first."),
    ("inbox", "The newest items that are not acknowledged."),
    ("inboxPath", "The path of the inbox."),
    ("inboxProjector", "What the inbox projection has done since the process started."),
    ("insertedItems", "The number of items that were put into inboxes."),
    ("isActive", "Whether the actor is present."),
    ("isPinned", "Whether anything is pinned."),
    ("items", "The items."),
    ("lastError", "The last error; null if there was none."),
    ("lastEventId", "The last event by the actor."),
    ("lastEventType", "The type of that event."),
    ("lastHeartbeatAt", "When the actor last sent a heartbeat."),
    ("lastProjectedAt", "When an item was last put into an inbox."),
    ("lastSeen", "The actor's last event, and when it happened."),
    ("lastSequence", "The sequence of that event."),
    (
        "maxActionsPerWindow",
        "The largest number of actions of an actor in a room within the window; 0: no limit.",
    ),
    ("maxRepeatedTextPerWindow", "How often an actor may repeat a text within the window; 0: no limit."),
    ("memory", "The entries, newest first."),
    ("minActionIntervalMs", "The shortest time between two actions of an actor, in milliseconds."),
    ("moderation", "The limits of moderation."),
    ("nextCursor", "The cursor of the next page; null if this is the last one."),
    ("object", "The object."),
    ("objects", "The objects, last changed first."),
    ("ok", "Whether the process is healthy."),
    ("openOrActiveTasks", "Tasks of the room that are open or active."),
    ("order", "The order of the list: asc or desc."),
    ("override", "The overrides of the room."),
    ("overrides", "The overrides, room by room."),
    ("paymentMode", "How payments are verified: stub, webhook or off."),
    ("permission", "What the actor may do in the room."),
    ("permissions", "What actors may do."),
    ("pinnedContext", "The pinned context of the room; null if nothing is pinned."),
    ("plans", "The plans that can be bought."),
    ("pollPath", "The path of long polls."),
    ("presence", "The presence of the actor."),
    ("presenceSweepMs", "How often expired presences are marked, in milliseconds."),
    ("priceUsd", "The price of a private room, in dollars."),
    ("privateTables", "The settings of private tables."),
    ("profile", "The profile."),
    ("profiles", "The profiles."),
    ("projectedEvents", "The number of events that the inbox projection has read."),
    ("projectedUnreadCount", "The same as unreadCount."),
    ("readGate", "Who reads what happens at a private table: off (all) or members."),
    ("reason", "Why."),
    ("rebuiltCounters", "The number of counters that were rebuilt."),
    ("redis", "The state of Redis, which is optional."),
    ("resolvedRoomId", "The room of this answer."),
    ("room", "What happens in the room."),
    ("rooms", "The rooms."),
    ("scanLimitReached", "Whether the log has more events than were scanned."),
    ("service", "The name of the service."),
    ("session", "The session."),
    ("sessionSweepMs", "How often expired sessions are ended, in milliseconds."),
    ("sessions", "The sessions."),
    ("status", "What the actor is doing."),
    ("storage", "Where each kind of data is kept."),
    ("streamPath", "The path of the event stream."),
    ("subscription", "The subscription."),
    ("subscriptions", "The subscriptions."),
    ("suggestedThreadId", "The thread of the newest item in the inbox."),
    ("task", "The task."),
    ("taskId", "The task."),
    ("tasks", "The tasks, last changed first."),
    ("time", "The time of the server."),
    ("timelinePath", "The path of the timeline."),
    ("toTs", "The end of the time span; null: the end of the log."),
    ("trace", "The trace."),
    ("truncated", "Whether there was more than this answer holds."),
    ("unreadCount", "The number of items that are not acknowledged."),
    ("unreadOnly", "Whether only items that are not acknowledged are listed."),
    ("waitedMs", "How long the poll waited, in milliseconds."),
    ("webhookConfigured", "Whether a payment webhook is configured."),
    ("windowMs", "The length of the moderation window, in milliseconds."),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A name has one entry.
    #[test]
    fn entries_are_sorted() {
        assert!(ENTRIES.is_sorted_by(|before, after| before.0 < after.0));
    }
}
