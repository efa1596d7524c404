//! Tables of cases for what is in a room beside actors: conversations, tasks, objects, pins.

use super::*;

/// The fallbacks for the members that a message does not have.
#[test]
fn projection_completes_a_message_by_fallbacks() {
    let id = "00000000-0000-0000-0000-000000000001";
    let window = json!({ "id": null, "maxItems": 20 });
    let whole = json!({
        "messageId": "m", "threadId": "t", "parentMessageId": "p", "text": "hi", "mentions": ["Kai"], "contextWindow": window,
    });
    let cases = [
        (json!({ "conversation": whole }), whole.clone()),
        (json!({}), json!({ "messageId": id, "threadId": id })),
        (json!({ "text": "hi" }), json!({ "messageId": id, "threadId": id, "text": "hi" })),
        (json!({ "bubble": { "text": "hi" } }), json!({ "messageId": id, "threadId": id, "text": "hi" })),
        (
            json!({ "conversation": { "parentMessageId": "p", "text": "" }, "bubble": { "text": "b" }, "text": "c" }),
            json!({ "messageId": id, "threadId": "p", "parentMessageId": "p", "text": "b" }),
        ),
        (
            json!({ "conversation": { "messageId": "m", "mentions": "all", "contextWindow": { "maxItems": null } } }),
            json!({ "messageId": "m", "threadId": "m" }),
        ),
    ];
    for (payload, expected) in cases {
        let mut want = json!({
            "parentMessageId": null, "actorId": "Nova", "text": "", "mentions": [], "contextWindow": null,
            "eventId": id, "sequence": 1, "ts": "2026-01-01T00:00:00.001Z",
        });
        expected.as_object().unwrap().iter().for_each(|(key, value)| want[key] = value.clone());
        let room = snapshot([(EventType::ConversationMessagePosted, "Nova", payload.clone())]);
        assert_eq!(serde_json::to_value(&room.messages[0]).unwrap(), want, "{payload}");
        let chat = json!({ "actorId": "Nova", "text": want["text"], "ts": want["ts"], "eventId": id });
        assert_eq!(serde_json::to_value(&room.chat[0]).unwrap(), chat, "{payload}");
    }
}

/// A thread keeps its root and collects messages and speakers; the newest thread comes first.
#[test]
fn projection_collects_messages_into_threads() {
    let post = |actor, message: &str, thread: &str, parent: Option<&str>| {
        let conversation =
            json!({ "messageId": message, "threadId": thread, "parentMessageId": parent, "text": "hi" });
        (EventType::ConversationMessagePosted, actor, json!({ "conversation": conversation }))
    };
    let room = snapshot([
        post("Nova", "m1", "t1", None),
        post("Nova", "m2", "t2", Some("m0")),
        post("Kai", "m3", "t1", Some("m1")),
        post("Nova", "m4", "t1", Some("m3")),
    ]);
    let want = json!([
        {
            "threadId": "t1", "rootMessageId": "m1", "messageIds": ["m1", "m3", "m4"], "participants": ["Nova", "Kai"],
            "messageCount": 3, "lastMessageAt": "2026-01-01T00:00:00.004Z",
            "lastEventId": "00000000-0000-0000-0000-000000000004",
        },
        {
            "threadId": "t2", "rootMessageId": "m0", "messageIds": ["m2"], "participants": ["Nova"],
            "messageCount": 1, "lastMessageAt": "2026-01-01T00:00:00.002Z",
            "lastEventId": "00000000-0000-0000-0000-000000000002",
        },
    ]);
    assert_eq!(serde_json::to_value(&room.threads).unwrap(), want);
}

/// What each event says of a task, known or not; leaving `done` clears who finished it.
#[test]
fn projection_builds_tasks_from_their_events() {
    use EventType::*;
    let created = json!({
        "taskId": "t", "title": "Sweep", "state": "active", "assigneeActorId": "Kai", "progress": 10, "createdBy": "Nova",
    });
    let known = (TaskCreated, created.clone());
    let done = json!({ "taskId": "t", "completedBy": "Kai", "completedAt": "2026-01-01T00:00:00.500Z", "progress": 90 });
    let finished = json!({ "state": "done", "progress": 90, "completedBy": "Kai", "completedAt": "2026-01-01T00:00:00.500Z" });
    let reopened = (TaskUpdated, json!({ "taskId": "t", "state": "open", "progress": 0 }));
    let cases: Vec<(Vec<(EventType, Value)>, Value)> = vec![
        (vec![known.clone()], json!({})),
        (
            vec![known.clone(), (TaskUpdated, json!({ "taskId": "t", "state": "open" }))],
            json!({ "state": "open" }),
        ),
        (
            vec![known.clone(), (TaskUpdated, json!({ "taskId": "t", "assigneeActorId": null }))],
            json!({ "assigneeActorId": null }),
        ),
        (
            vec![known.clone(), (TaskAssigned, json!({ "taskId": "t", "toAssigneeActorId": "Zoe" }))],
            json!({ "assigneeActorId": "Zoe" }),
        ),
        (
            vec![known.clone(), (TaskAssigned, json!({ "taskId": "t", "toAssigneeActorId": "" }))],
            json!({ "assigneeActorId": null }),
        ),
        (
            vec![known.clone(), (TaskProgressUpdated, json!({ "taskId": "t", "toProgress": 60 }))],
            json!({ "progress": 60 }),
        ),
        (vec![known.clone(), (TaskCompleted, done.clone())], finished),
        (
            vec![known.clone(), (TaskCompleted, json!({ "taskId": "t" }))],
            json!({ "state": "done", "progress": 100, "completedBy": "Nova", "completedAt": "2026-01-01T00:00:00.002Z" }),
        ),
        (vec![known.clone(), (TaskCompleted, done), reopened], json!({ "state": "open", "progress": 0 })),
        (
            vec![(TaskProgressUpdated, json!({ "taskId": "t", "toProgress": 60 }))],
            json!({ "title": null, "state": "open", "assigneeActorId": null, "progress": 60, "createdBy": null }),
        ),
    ];
    for (events, differences) in cases {
        let mut want = json!({ "completedBy": null, "completedAt": null });
        for (key, value) in created.as_object().unwrap().iter().chain(differences.as_object().unwrap()) {
            want[key] = value.clone();
        }
        want["updatedAt"] = json!(Timestamp::from_millis(MIDNIGHT_MS + i64::try_from(events.len()).unwrap()));
        let room = snapshot(events.iter().map(|(kind, payload)| (*kind, "Nova", payload.clone())));
        assert_eq!(serde_json::to_value(&room.tasks).unwrap(), json!([want]), "{events:?}");
    }
    assert_eq!(snapshot([(TaskCreated, "Nova", json!({ "title": "nameless" }))]).tasks, []);
}

/// The task that changed last comes first.
#[test]
fn projection_sorts_tasks_by_their_last_change() {
    use EventType::*;
    let task = |kind, id: &str| (kind, "Nova", json!({ "taskId": id }));
    let room = snapshot([task(TaskCreated, "a"), task(TaskCreated, "b"), task(TaskAssigned, "a")]);
    assert_eq!(room.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

/// An object has all its keys, from its payload or by default; an update changes those it gives.
#[test]
fn projection_builds_objects_from_their_events() {
    use EventType::*;
    let whole = json!({
        "objectId": "o", "objectType": "token", "objectKey": "beans", "title": "Beans", "content": null, "data": { "a": 1 },
        "quantity": 3, "metadata": {}, "version": 1, "createdBy": "Nova", "updatedBy": "Nova",
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
    });
    let update = json!({ "objectId": "o", "title": "", "quantity": 0, "data": {}, "version": 2, "changedFields": ["title"] });
    let mut updated = whole.clone();
    for (key, value) in [
        ("title", Value::Null),
        ("quantity", json!(0)),
        ("data", json!({})),
        ("version", json!(2)),
        ("updatedBy", json!("Kai")),
        ("updatedAt", json!("2026-01-01T00:00:00.002Z")),
    ] {
        updated[key] = value;
    }
    let bare = json!({
        "objectId": "o", "objectType": "note", "objectKey": null, "title": null, "content": null, "data": {}, "quantity": null,
        "metadata": {}, "version": 1, "createdBy": null, "updatedBy": "Nova", "createdAt": null,
        "updatedAt": "2026-01-01T00:00:00.001Z",
    });
    let cases = [
        (vec![(SharedObjectCreated, "Nova", whole.clone())], whole.clone()),
        (vec![(SharedObjectCreated, "Nova", whole), (SharedObjectUpdated, "Kai", update)], updated),
        (vec![(SharedObjectUpdated, "Nova", json!({ "objectId": "o", "version": -4, "data": [] }))], bare),
    ];
    for (events, want) in cases {
        assert_eq!(serde_json::to_value(snapshot(events).shared_objects).unwrap(), json!([want]));
    }
}

/// The newest pin is shown.
#[test]
fn projection_shows_the_newest_pin() {
    let pin = |payload| (EventType::RoomContextPinned, "Nova", payload);
    let first = json!({ "version": 1, "content": "be kind", "metadata": { "a": 1 }, "pinnedBy": "Kai" });
    let room = snapshot([pin(first.clone())]);
    let mut want = first;
    want["ts"] = json!("2026-01-01T00:00:00.001Z");
    want["eventId"] = json!("00000000-0000-0000-0000-000000000001");
    assert_eq!(serde_json::to_value(&room.pinned_context).unwrap(), want);
    let bare = json!({
        "version": 1, "content": "", "metadata": {}, "pinnedBy": "Nova",
        "ts": "2026-01-01T00:00:00.002Z", "eventId": "00000000-0000-0000-0000-000000000002",
    });
    let room = snapshot([pin(want), pin(json!({}))]);
    assert_eq!(serde_json::to_value(&room.pinned_context).unwrap(), bare);
}
