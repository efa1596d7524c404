//! What the members of answers mean that say nothing themselves. A name means the same wherever it stands, unless an entry
//! names the schema too.

use serde_json::{Map, Value};

use super::glossary;

/// Gives every property of every schema that has no description one.
pub(super) fn describe_all(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas {
        describe(schema, name);
    }
}

/// Gives every property in a schema that has no description one; what a name means in requests, it means in answers too. The
/// links of the code's own documentation lead nowhere here.
pub(super) fn describe(schema: &mut Value, whose: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (name, property) in properties {
                    let meaning = of(whose, name);
                    if let Value::Object(property) = property
                        && !property.contains_key("description")
                        && !meaning.is_empty()
                    {
                        property.insert("description".to_owned(), meaning.into());
                    }
                }
            }
            members.values_mut().for_each(|member| describe(member, whose));
        }
        Value::Array(members) => members.iter_mut().for_each(|member| describe(member, whose)),
        _ => {}
    }
}

fn of(schema: &str, name: &str) -> &'static str {
    let find = |wanted: &str| ENTRIES.iter().find(|(known, _)| *known == wanted).map(|(_, meaning)| *meaning);
    find(&format!("{schema}.{name}")).or_else(|| find(name)).unwrap_or_else(|| glossary::of(name))
}

const ENTRIES: &[(&str, &str)] = &[
    ("ActionTaken.at", "When."),
    ("ActionTaken.operatorId", "Who did it."),
    ("ActionTaken.targetActorId", "On whom; null: on the room."),
    ("AuditEntry.action", "What was done, or denied."),
    ("AuditResponse.entries", "The entries, in the order of the list."),
    ("Collaboration.status", "How well those in the room work together."),
    ("Granted.audit", "The grant's entry in the audit trail."),
    ("Health.reactions", "What the reaction engine has done since the process began."),
    ("Health.webhooks", "What webhooks have done since the process began."),
    ("MemoryEntry.changedFields", "Which fields were changed."),
    ("MemoryEntry.completedBy", "Who completed it."),
    ("MemoryEntry.fromAssigneeActorId", "Who did it before; null: nobody."),
    ("MemoryEntry.fromProgress", "How much was done before, 0 to 100."),
    ("MemoryEntry.mentions", "Who was mentioned."),
    ("MemoryEntry.outcome", "What became of it."),
    ("MemoryEntry.text", "What was said."),
    ("MemoryEntry.threadId", "The message's thread."),
    ("MemoryEntry.toProgress", "How much is done now, 0 to 100."),
    ("Operated.audit", "The action's entry in the audit trail."),
    ("Reactions.failed", "How many reactions failed."),
    ("Reactions.inFlight", "How many reactions are under way."),
    ("Reactions.processed", "How many events were held against the rules."),
    ("Reactions.queued", "How many events wait."),
    ("Reactions.skipped", "How often a rule left alone what it was triggered by."),
    ("Reactions.triggered", "How many reactions took effect."),
    ("ReplayDone.replay", "What came of it."),
    ("Replayed.snapshot", "What the room looks like after these events, if it was empty before them."),
    ("Replayed.window", "Which part of the log was replayed."),
    ("RoomResponse.room", "The room."),
    ("RoomUpserted.room", "The room as it is now."),
    ("Saved.snapshot", "What was saved."),
    ("Scored.collaboration", "The score, and what it is made of."),
    ("Scored.window", "From when to when was counted."),
    ("SessionWithoutPayment.endedAt", "When it was ended; null: it was not."),
    ("SessionWithoutPayment.expiresAt", "Until when it holds."),
    ("SessionWithoutPayment.ownerActorId", "Who bought it."),
    ("SessionWithoutPayment.planId", "The plan that was bought."),
    ("SessionWithoutPayment.startedAt", "From when on it holds."),
    ("SessionWithoutPayment.status", "active or ended."),
    ("SnapshotResponse.snapshot", "What was saved."),
    ("TableOpened.room", "The room as it is now."),
    ("WebhookSubscription.enabled", "Whether events are sent."),
    ("WebhookSubscription.id", "The subscription."),
    (
        "WebhookSubscription.secret",
        "What deliveries are signed with: shown when it is made or set, then null.",
    ),
    ("Webhooks.delivered", "How many deliveries arrived."),
    ("Webhooks.dlq", "How many events were given up."),
    ("Webhooks.failed", "How many attempts failed."),
    ("Webhooks.inFlight", "How many attempts are under way."),
    ("Webhooks.processed", "How many events were dealt with."),
    ("Webhooks.queued", "How many events wait for their attempt."),
    ("Webhooks.retried", "How many attempts were retries."),
    ("Window.endCursor", "The last event's place in the log; null: there is none."),
    ("Window.startCursor", "The first event's place in the log; null: there is none."),
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
    ("created", "Whether it was not there before."),
    ("createdAt", "When it was made; null: it was not."),
    ("cursor", "The head of the log: what comes from now on is behind it."),
    ("data", "What was asked for, or what was done."),
    ("defaultPlanId", "The plan that is meant where none is named."),
    ("defaultRoomId", "The room that is meant where none is named."),
    ("defaultSessionMinutes", "How long a session lasts where its plan does not say."),
    ("defaultTenantId", "The tenant that is meant where none is named."),
    ("deleted", "Whether it was there, and is no more."),
    ("deliveries", "The attempts, newest first."),
    ("details", "More about it, for programs; which members there are depends on the code."),
    ("discovery", "Where to go from here."),
    ("dlq", "The entries, newest first."),
    ("emittedEvents", "Every event that the request caused, in order."),
    ("enabled", "Whether it is in use."),
    ("error", "What went wrong."),
    ("eventId", "The main event's id."),
    ("eventIds", "The ids of the events that the request caused, in order."),
    ("eventType", "The main event's type."),
    ("events", "The events, in order."),
    ("eventsConsidered", "How many events were counted."),
    ("features", "What its plan includes."),
    ("finalEventId", "The id of the last of these events."),
    ("finalSequence", "The place in the log of the last of these events."),
    ("from", "Where it began."),
    ("fromTs", "From when on was looked; null: from the beginning."),
    ("handoff", "How the task was handed over."),
    ("handoffs", "The events of its handoffs, in order."),
    ("hasSecret", "Whether deliveries are signed."),
    ("heartbeatPath", "Where actors show that they are there."),
    ("history", "What was pinned, the newest first."),
    ("inbox", "The newest items that are not acknowledged."),
    ("inboxPath", "Where the inbox is read."),
    ("inboxProjector", "What was put into inboxes since the process began."),
    ("insertedItems", "How many items were put into inboxes."),
    ("intent", "What the actor wanted."),
    ("isActive", "Whether the actor is there."),
    ("isPinned", "Whether anything is pinned."),
    ("item", "The item."),
    ("items", "The items."),
    ("label", "The target's name, for people."),
    ("lastDeliveredAt", "When something last arrived; null: never."),
    ("lastError", "What went wrong last; null: nothing."),
    ("lastEventId", "The last event by the actor."),
    ("lastEventType", "That event's type."),
    ("lastHeartbeatAt", "When the actor last showed that it is there."),
    ("lastProjectedAt", "When something was last put into an inbox."),
    ("lastSeen", "When, and with what, the actor last did something."),
    ("lastSequence", "That event's place in the log."),
    ("live", "That the process is up."),
    ("maxActionsPerWindow", "The most actions of an actor in a room within the window; 0: no limit."),
    ("maxAgents", "How many may sit at the table."),
    ("maxRepeatedTextPerWindow", "How often an actor may say the same within the window; 0: no limit."),
    ("memory", "What is remembered, newest first."),
    ("mentions", "The events that mention somebody, in order."),
    ("message", "What went wrong, for people."),
    ("minActionIntervalMs", "The least time between two actions, in milliseconds."),
    ("moderation", "The limits of moderation."),
    ("mutedActorIds", "Who is muted."),
    ("mutedActors", "Who is muted, and by whom, when and why."),
    ("nextCursor", "Where the next page begins; null: there is none."),
    ("object", "The object."),
    ("objects", "The objects, newest change first."),
    ("ok", "Whether it was done."),
    ("openOrActiveTasks", "The tasks of the room that are not done."),
    ("order", "The order of the list: asc or desc."),
    ("override", "What operators have set for the room."),
    ("overrides", "What operators have set, room by room."),
    ("path", "The way, leg by leg."),
    ("pauseReason", "Why the room is paused; null: it is not, or nobody said why."),
    ("pausedAt", "When the room was paused; null: it is not."),
    ("pausedBy", "Who paused the room; null: it is not paused."),
    ("payment", "What was paid; null: nothing."),
    ("paymentMode", "How private tables are paid for: stub, webhook or off."),
    ("permission", "What the actor may do in the room."),
    ("permissions", "What actors may do."),
    ("pinnedContext", "What is pinned in the room; null: nothing."),
    ("plans", "The plans that are sold."),
    ("pollPath", "Where the next events can be waited for."),
    ("presence", "The actor's presence, or the presences of those in the room."),
    ("presenceSweepMs", "How often presences that ran out are looked for, in milliseconds."),
    ("priceUsd", "What a private room costs, in dollars."),
    ("privateTables", "How private tables are sold."),
    ("profile", "How the actor is shown."),
    ("profiles", "How actors are shown."),
    ("projectedEvents", "How many events were looked at for inboxes."),
    ("projectedUnreadCount", "The counter of unread items; the same as unreadCount."),
    ("readGate", "Who reads what happens at a private table: off (everybody) or members."),
    ("ready", "That the store takes writes."),
    ("reason", "Why."),
    ("rebuiltCounters", "How many counters were made anew."),
    ("redis", "Redis, which nodes share; nothing depends on it."),
    ("requestId", "The request's id, also in x-request-id."),
    ("resolvedRoomId", "The room that this answer is about."),
    ("resumedAt", "When the room was last resumed; null: never."),
    ("room", "What is going on in the room."),
    ("roomId", "The room."),
    ("roomPaused", "Whether the room is paused."),
    ("rooms", "The rooms there are."),
    ("scanLimitReached", "Whether there were more events than were looked at."),
    ("sequence", "The main event's place in the log."),
    ("service", "What this is."),
    ("session", "The session."),
    ("sessionSweepMs", "How often sessions that ran out are looked for, in milliseconds."),
    ("sessions", "The sessions."),
    ("source", "Where this comes from."),
    ("status", "What the actor is doing."),
    ("storage", "Where each kind of data is kept."),
    ("streamPath", "Where events are streamed."),
    ("subscription", "The subscription."),
    ("subscriptions", "The subscriptions."),
    ("suggestedThreadId", "The thread that the newest item in the inbox belongs to."),
    ("target", "Where it ended."),
    ("task", "The task."),
    ("tasks", "The tasks, newest change first."),
    ("time", "The server's clock."),
    ("timelinePath", "Where the log is read by time."),
    ("toTs", "Until when was looked; null: to the end."),
    ("trace", "What became of the request."),
    ("truncated", "Whether there was more, and it was left out."),
    ("unreadCount", "How many items are not acknowledged."),
    ("unreadOnly", "Whether only items that are not acknowledged are listed."),
    ("updatedAt", "When it was last changed; null: never."),
    ("verified", "Whether it was shown that it was paid."),
    ("waitedMs", "How long was waited, in milliseconds."),
    ("webhookConfigured", "Whether there is an address that is asked about payments."),
    ("windowMs", "How long moderation remembers actions, in milliseconds."),
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
