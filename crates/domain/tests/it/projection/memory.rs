//! What an agent remembers of each type of event.

use agentcafe_domain::projection::memory::{memory_entry, remembered_types};

use super::*;

fn remembered(kind: EventType, payload: Value) -> Value {
    let mut entry = serde_json::to_value(memory_entry(&event(kind, "Nova", payload)).unwrap()).unwrap();
    let entry = entry.as_object_mut().unwrap();
    for common in ["eventId", "sequence", "type", "actorId", "ts"] {
        assert!(entry.remove(common).is_some(), "{common}");
    }
    Value::Object(entry.clone())
}

/// The fields of each type, and what stands for those that an event does not have.
#[test]
fn memory_entry_has_the_fields_of_its_type() {
    use EventType::*;
    let message = json!({ "conversation": { "messageId": "m", "threadId": "t", "mentions": ["Kai", 7] }, "bubble": { "text": "hi" } });
    let object = json!({ "objectId": "o", "objectType": "note", "objectKey": "k", "version": 0, "changedFields": ["title"] });
    let gaps =
        json!({ "objectId": null, "objectType": null, "objectKey": null, "version": 1, "changedFields": [] });
    let assigned = json!({ "taskId": "t", "fromAssigneeActorId": null, "toAssigneeActorId": "Kai" });
    let muted = json!({ "action": "mute_agent", "targetActorId": "Kai", "reason": null });
    let cases = [
        (ConversationMessagePosted, message, json!({ "text": "hi", "threadId": "t", "mentions": ["Kai"] })),
        (ConversationMessagePosted, json!({}), json!({ "text": "", "threadId": null, "mentions": [] })),
        (OrderChanged, json!({ "itemId": "tea" }), json!({ "itemId": "tea", "size": null })),
        (ActorMoved, json!({ "direction": "N" }), json!({ "direction": "N", "steps": 1 })),
        (ActorMoved, json!({ "steps": 3.2 }), json!({ "direction": null, "steps": 3 })),
        (
            IntentCompleted,
            json!({ "intent": "navigate_to" }),
            json!({ "intent": "navigate_to", "outcome": null }),
        ),
        (OperatorOverrideApplied, muted.clone(), muted),
        (
            TaskCreated,
            json!({ "taskId": "t", "state": "open" }),
            json!({ "taskId": "t", "state": "open", "progress": 0 }),
        ),
        (TaskUpdated, json!({ "progress": 5 }), json!({ "taskId": null, "state": null, "progress": 5 })),
        (TaskAssigned, assigned.clone(), assigned),
        (
            TaskProgressUpdated,
            json!({ "toProgress": 5 }),
            json!({ "taskId": null, "fromProgress": null, "toProgress": 5 }),
        ),
        (TaskCompleted, json!({ "taskId": "t" }), json!({ "taskId": "t", "completedBy": null })),
        (SharedObjectUpdated, object.clone(), {
            let mut want = object;
            want["version"] = json!(1);
            want
        }),
        (SharedObjectCreated, json!({ "version": "x" }), gaps),
        (AgentEntered, json!({ "reason": "coffee" }), json!({})),
        (AgentLeft, json!({}), json!({})),
        (RoomContextPinned, json!({ "content": "be kind", "version": 2 }), json!({})),
    ];
    for (kind, payload, want) in cases {
        assert_eq!(remembered(kind, payload.clone()), want, "{kind:?} {payload}");
    }
}

/// The types that an agent remembers.
const REMEMBERED: [EventType; 15] = [
    EventType::AgentEntered,
    EventType::AgentLeft,
    EventType::ActorMoved,
    EventType::ConversationMessagePosted,
    EventType::OrderChanged,
    EventType::IntentCompleted,
    EventType::RoomContextPinned,
    EventType::OperatorOverrideApplied,
    EventType::TaskCreated,
    EventType::TaskUpdated,
    EventType::TaskAssigned,
    EventType::TaskProgressUpdated,
    EventType::TaskCompleted,
    EventType::SharedObjectCreated,
    EventType::SharedObjectUpdated,
];

/// Types that it does not.
const FORGOTTEN: [EventType; 12] = [
    EventType::StatusChanged,
    EventType::PresenceHeartbeat,
    EventType::MentionCreated,
    EventType::BubblePosted,
    EventType::IntentPlanned,
    EventType::SnapshotCreated,
    EventType::TaskHandoff,
    EventType::RoomCreated,
    EventType::RoomUpdated,
    EventType::TableSessionCreated,
    EventType::TableSessionUpdated,
    EventType::TableSessionEnded,
];

#[test]
fn memory_entry_exists_for_remembered_types_only() {
    for kind in EventType::ALL {
        let entry = memory_entry(&event(*kind, "Nova", json!({})));
        assert_eq!(entry.is_some(), remembered_types().contains(kind), "{kind:?}");
        assert!(!REMEMBERED.contains(kind) || entry.is_some(), "{kind:?}");
        assert!(!FORGOTTEN.contains(kind) || entry.is_none(), "{kind:?}");
    }
}
