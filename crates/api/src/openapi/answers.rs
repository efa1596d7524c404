//! What the members of answers mean that say nothing themselves. A name means the same wherever it stands.

use serde_json::Value;

use super::glossary;

/// Gives every property in a schema that has no description one; what a name means in requests, it means in answers too.
pub(super) fn describe(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (name, property) in properties {
                    let meaning = of(name);
                    if let Value::Object(property) = property
                        && !property.contains_key("description")
                        && !meaning.is_empty()
                    {
                        property.insert("description".to_owned(), meaning.into());
                    }
                }
            }
            members.values_mut().for_each(describe);
        }
        Value::Array(members) => members.iter_mut().for_each(describe),
        _ => {}
    }
}

fn of(name: &str) -> &'static str {
    let here = ENTRIES.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
    here.unwrap_or_else(|| glossary::of(name))
}

const ENTRIES: &[(&str, &str)] = &[
    ("accepted", "That the command took effect."),
    ("ackedCount", "How many items were acknowledged now."),
    ("ackedIds", "The items that were acknowledged now."),
    ("action", "What was done."),
    ("actor", "Who asks, and what waits for it; null without actorId."),
    ("actorId", "The actor."),
    ("actors", "One entry for each actor."),
    ("assignedTasks", "Open and active tasks that are the actor's."),
    ("bootstrappedAt", "When the process began to count."),
    ("canonicalApiVersion", "The version of the API that paths begin with."),
    ("changed", "Whether it was not acknowledged before."),
    ("code", "What went wrong, for programs."),
    ("commandsPath", "Where commands are sent to; the command's name follows."),
    ("cooldownMs", "How long an actor must be quiet after it hit a limit, in milliseconds."),
    ("correlationId", "Ties together all events of the request, and finds its trace."),
    ("count", "How many there are in this answer."),
    ("counters", "Where unread items are counted."),
    ("cursor", "The head of the log: what comes from now on is behind it."),
    ("data", "What was asked for, or what was done."),
    ("defaultRoomId", "The room that is meant where none is named."),
    ("defaultTenantId", "The tenant that is meant where none is named."),
    ("details", "More about it, for programs; which members there are depends on the code."),
    ("discovery", "Where to go from here."),
    ("emittedEvents", "Every event that the request caused, in order."),
    ("enabled", "Whether it is in use."),
    ("error", "What went wrong."),
    ("eventId", "The main event's id."),
    ("eventIds", "The ids of the events that the request caused, in order."),
    ("eventType", "The main event's type."),
    ("events", "The events, in order."),
    ("finalEventId", "The id of the last of these events."),
    ("finalSequence", "The place in the log of the last of these events."),
    ("from", "Where it began."),
    ("fromTs", "From when on was looked; null: from the beginning."),
    ("heartbeatPath", "Where actors show that they are there."),
    ("inbox", "The newest items that are not acknowledged."),
    ("inboxPath", "Where the inbox is read."),
    ("inboxProjector", "What was put into inboxes since the process began."),
    ("insertedItems", "How many items were put into inboxes."),
    ("intent", "What the actor wanted."),
    ("isActive", "Whether the actor is there."),
    ("item", "The item."),
    ("items", "The items."),
    ("label", "The target's name, for people."),
    ("lastError", "What went wrong last; null: nothing."),
    ("lastEventId", "The last event by the actor."),
    ("lastEventType", "That event's type."),
    ("lastHeartbeatAt", "When the actor last showed that it is there."),
    ("lastProjectedAt", "When something was last put into an inbox."),
    ("lastSeen", "When, and with what, the actor last did something."),
    ("lastSequence", "That event's place in the log."),
    ("live", "That the process is up."),
    ("maxActionsPerWindow", "The most actions of an actor in a room within the window; 0: no limit."),
    ("maxRepeatedTextPerWindow", "How often an actor may say the same within the window; 0: no limit."),
    ("mentions", "The events that mention somebody, in order."),
    ("message", "What went wrong, for people."),
    ("minActionIntervalMs", "The least time between two actions, in milliseconds."),
    ("moderation", "The limits of moderation."),
    ("nextCursor", "Where the next page begins; null: there is none."),
    ("ok", "Whether it was done."),
    ("openOrActiveTasks", "The tasks of the room that are not done."),
    ("order", "The order of the list: asc or desc."),
    ("path", "The way, leg by leg."),
    ("pinnedContext", "What is pinned in the room; null: nothing."),
    ("pollPath", "Where the next events can be waited for."),
    ("presence", "The actor's presence, or the presences of those in the room."),
    ("presenceSweepMs", "How often presences that ran out are looked for, in milliseconds."),
    ("projectedEvents", "How many events were looked at for inboxes."),
    ("projectedUnreadCount", "The counter of unread items; the same as unreadCount."),
    ("ready", "That the store takes writes."),
    ("reason", "Why."),
    ("rebuiltCounters", "How many counters were made anew."),
    ("requestId", "The request's id, also in x-request-id."),
    ("resolvedRoomId", "The room that this answer is about."),
    ("room", "What is going on in the room."),
    ("roomId", "The room."),
    ("rooms", "The rooms there are."),
    ("scanLimitReached", "Whether there were more events than were looked at."),
    ("sequence", "The main event's place in the log."),
    ("service", "What this is."),
    ("status", "What the actor is doing."),
    ("storage", "Where each kind of data is kept."),
    ("streamPath", "Where events are streamed."),
    ("suggestedThreadId", "The thread that the newest item in the inbox belongs to."),
    ("target", "Where it ended."),
    ("time", "The server's clock."),
    ("timelinePath", "Where the log is read by time."),
    ("toTs", "Until when was looked; null: to the end."),
    ("trace", "What became of the request."),
    ("unreadCount", "How many items are not acknowledged."),
    ("unreadOnly", "Whether only items that are not acknowledged are listed."),
    ("waitedMs", "How long was waited, in milliseconds."),
    ("windowMs", "How long moderation remembers actions, in milliseconds."),
];
