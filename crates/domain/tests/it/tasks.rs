//! Creating, changing and handing off tasks.

use agentcafe_domain::kernel::{Code, DomainError, MAX_OBJECT_BYTES, Success, Timestamp};
use agentcafe_domain::tasks::Task;
use agentcafe_domain::tasks::change::UpdateTask;
use agentcafe_domain::tasks::create::CreateTask;
use agentcafe_domain::tasks::handoff::HandOffTask;
use agentcafe_domain::work::{Editor, MAX_CONTENT_CHARS};
use serde_json::{Value, json};

use crate::harness::{Harness, assert_details, body};

fn by(actor: &str, mut fields: Value) -> Value {
    fields["actorId"] = json!(actor);
    fields
}

fn create(harness: &mut Harness, fields: Value) -> Result<Task, DomainError> {
    let (success, mut data) = harness.decide(&CreateTask::read(&body(&by("Nova", fields))).unwrap())?;
    assert_eq!(success, Success::Created);
    Ok(serde_json::from_value(data["task"].take()).unwrap())
}

fn change(harness: &mut Harness, task: &Task, actor: &str, fields: Value) -> Result<Task, DomainError> {
    let fields = body(&by(actor, fields));
    let editor = Editor::read(&fields, &fields).unwrap();
    let (success, mut data) = harness.decide(&UpdateTask::read(&fields, editor, task.clone()))?;
    assert_eq!(success, Success::Ok);
    Ok(serde_json::from_value(data["task"].take()).unwrap())
}

fn hand_off(harness: &mut Harness, task: &Task, actor: &str, fields: Value) -> Result<Value, DomainError> {
    let fields = body(&by(actor, fields));
    let editor = Editor::read(&fields, &fields).unwrap();
    harness.decide(&HandOffTask::read(&fields, editor, task.clone())).map(|(_, data)| data)
}

/// State, assignee, progress, and who finished it.
fn summary(task: &Task) -> Value {
    json!([task.state, task.assignee_actor_id, task.progress, task.completed_by])
}

/// The types of the events after the first `from`, without `task_`.
fn types(harness: &Harness, from: usize) -> Vec<&'static str> {
    harness.events[from..].iter().map(|event| event.kind.as_str().trim_start_matches("task_")).collect()
}

/// State and progress of a new task, and its events: in order, caused by the first.
#[test]
fn task_create_sets_state_and_progress() {
    let cases = [
        (json!({}), json!(["open", null, 0, null]), vec!["created"]),
        (json!({"assigneeActorId": "Kai"}), json!(["active", "Kai", 0, null]), vec!["created", "assigned"]),
        (json!({"assigneeActorId": " "}), json!(["open", null, 0, null]), vec!["created"]),
        (
            json!({"assigneeActorId": "Kai", "state": "open"}),
            json!(["open", "Kai", 0, null]),
            vec!["created", "assigned"],
        ),
        (
            json!({"assigneeActorId": "Kai", "state": null}),
            json!(["open", "Kai", 0, null]),
            vec!["created", "assigned"],
        ),
        (
            json!({"state": " ACTIVE ", "progress": "12.5"}),
            json!(["active", null, 13, null]),
            vec!["created"],
        ),
        (json!({"progress": 100}), json!(["open", null, 100, null]), vec!["created"]),
        (json!({"state": "done"}), json!(["done", null, 100, "Nova"]), vec!["created", "completed"]),
        (
            json!({"state": "done", "progress": 40, "assigneeActorId": "Kai"}),
            json!(["done", "Kai", 100, "Nova"]),
            vec!["created", "assigned", "completed"],
        ),
    ];
    for (mut fields, want, event_types) in cases {
        fields["title"] = json!(" Sweep ");
        let mut harness = Harness::new();
        let task = create(&mut harness, fields.clone()).unwrap();
        assert_eq!((summary(&task), task.title.as_str()), (want, "Sweep"), "{fields}");
        assert_eq!(task.completed_at, task.completed_by.as_ref().map(|_| harness.now));
        assert_eq!(types(&harness, 0), event_types, "{fields}");
        let first = harness.events[0].event_id.to_string();
        assert!(harness.events[1..].iter().all(|event| event.causation_id.as_ref() == Some(&first)));
        assert_eq!(harness.all::<Task>(), [task]);
    }
}

/// Fields are checked in order, and each has a limit.
#[test]
fn task_fields_are_checked_in_order() {
    let long = "x".repeat(201);
    let cases = [
        (json!({}), Code::MissingField, json!({"field": "title"})),
        (json!({"title": " ", "description": 5}), Code::MissingField, json!({"field": "title"})),
        (json!({"title": 5}), Code::MissingField, json!({"field": "title"})),
        (json!({"title": long}), Code::OutOfBounds, json!({"field": "title", "max": 200, "value": 201})),
        (
            json!({"title": "t", "description": 5, "state": "x"}),
            Code::Validation,
            json!({"field": "description"}),
        ),
        (
            json!({"title": "t", "description": "x".repeat(MAX_CONTENT_CHARS + 1)}),
            Code::OutOfBounds,
            json!({"field": "description", "max": MAX_CONTENT_CHARS}),
        ),
        (
            json!({"title": "t", "state": "lost", "assigneeActorId": 5}),
            Code::InvalidEnum,
            json!({"field": "state", "allowed": ["open", "active", "done"]}),
        ),
        (
            json!({"title": "t", "assigneeActorId": 5, "progress": -1}),
            Code::Validation,
            json!({"field": "assigneeActorId"}),
        ),
        (
            json!({"title": "t", "progress": 101, "metadata": 5}),
            Code::OutOfBounds,
            json!({"field": "progress", "min": 0, "max": 100, "value": 101.0}),
        ),
        (json!({"title": "t", "metadata": []}), Code::Validation, json!({"field": "metadata"})),
        (
            json!({"title": "t", "metadata": {"a": "x".repeat(MAX_OBJECT_BYTES)}}),
            Code::OutOfBounds,
            json!({"field": "metadata", "max": MAX_OBJECT_BYTES}),
        ),
    ];
    for (fields, code, details) in cases {
        let mut harness = Harness::new();
        let error = create(&mut harness, fields.clone()).unwrap_err();
        let task = create(&mut harness, json!({"title": "Sweep"})).unwrap();
        let mut refusals = vec![error];
        if fields != json!({}) {
            refusals.push(change(&mut harness, &task, "Kai", fields.clone()).unwrap_err());
        }
        for error in refusals {
            assert_eq!(error.code, code, "{fields}");
            assert_details(&error, &details);
        }
    }
    let mut harness = Harness::new();
    let task = create(&mut harness, json!({"title": "Sweep"})).unwrap();
    let error = change(&mut harness, &task, "Kai", json!({"reason": "none"})).unwrap_err();
    let six = json!(["title", "description", "state", "assigneeActorId", "progress", "metadata"]);
    assert_eq!((error.code, &error.details["fields"]), (Code::Validation, &six));
    for (name, code) in [("title", Code::MissingField), ("state", Code::InvalidEnum)] {
        assert_eq!(change(&mut harness, &task, "Kai", json!({name: null})).unwrap_err().code, code, "{name}");
    }
}

/// A patch changes the fields that it names and those that follow from them; `changedFields` lists both.
#[test]
fn task_update_changes_named_fields_and_what_follows() {
    let open = json!({});
    let given = json!({"assigneeActorId": "Kai", "progress": 30});
    let done = json!({"state": "done"});
    let cases = [
        (&open, json!({"title": "Mop"}), json!(["open", null, 0, null]), json!(["title"])),
        (
            &open,
            json!({"assigneeActorId": "Kai"}),
            json!(["active", "Kai", 0, null]),
            json!(["assigneeActorId", "state"]),
        ),
        (
            &open,
            json!({"assigneeActorId": "Kai", "state": "open"}),
            json!(["open", "Kai", 0, null]),
            json!(["state", "assigneeActorId"]),
        ),
        (&open, json!({"progress": 100}), json!(["open", null, 100, null]), json!(["progress"])),
        (&open, json!({"state": "done"}), json!(["done", null, 100, "Zoe"]), json!(["state", "progress"])),
        (
            &given,
            json!({"progress": 50, "state": "done"}),
            json!(["done", "Kai", 100, "Zoe"]),
            json!(["state", "progress"]),
        ),
        (
            &given,
            json!({"assigneeActorId": ""}),
            json!(["active", null, 30, null]),
            json!(["assigneeActorId"]),
        ),
        (
            &given,
            json!({"assigneeActorId": null}),
            json!(["active", null, 30, null]),
            json!(["assigneeActorId"]),
        ),
        (&given, json!({"progress": null}), json!(["active", "Kai", 0, null]), json!(["progress"])),
        (&done, json!({"progress": 50}), json!(["done", null, 100, "Nova"]), json!(["progress"])),
        (&done, json!({"state": "done"}), json!(["done", null, 100, "Nova"]), json!(["state", "progress"])),
        (&done, json!({"state": "active"}), json!(["active", null, 100, null]), json!(["state"])),
        (
            &done,
            json!({"state": "open", "progress": 10}),
            json!(["open", null, 10, null]),
            json!(["state", "progress"]),
        ),
        (
            &done,
            json!({"assigneeActorId": "Kai"}),
            json!(["done", "Kai", 100, "Nova"]),
            json!(["assigneeActorId"]),
        ),
    ];
    for (initial, fields, want, changed) in cases {
        let mut harness = Harness::new();
        let mut described = initial.clone();
        described["title"] = json!("Sweep");
        let before = create(&mut harness, described).unwrap();
        harness.now = Timestamp::from_millis(2_000_000);
        let from = harness.events.len();
        let after = change(&mut harness, &before, "Zoe", fields.clone()).unwrap();
        let named = &harness.events[from].payload["changedFields"];
        assert_eq!((summary(&after), named), (want, &changed), "{initial} {fields}");
        assert_eq!((after.created_at, after.updated_at), (before.created_at, harness.now));
        let finished_at = after.completed_by.as_ref().map(|_| before.completed_at.unwrap_or(harness.now));
        assert_eq!(after.completed_at, finished_at, "{initial} {fields}");
    }
}

/// A change appends `task_updated` first, which causes the events of what else is new.
#[test]
fn task_update_appends_an_event_per_change() {
    let cases = [
        (json!({"title": "Mop"}), vec!["updated"]),
        (json!({"assigneeActorId": "Kai"}), vec!["updated"]),
        (json!({"assigneeActorId": "Bo"}), vec!["updated", "assigned"]),
        (json!({"assigneeActorId": null, "progress": 30}), vec!["updated", "assigned"]),
        (json!({"progress": 31}), vec!["updated", "progress_updated"]),
        (
            json!({"state": "done", "assigneeActorId": "Bo"}),
            vec!["updated", "assigned", "progress_updated", "completed"],
        ),
    ];
    for (fields, want) in cases {
        let mut harness = Harness::new();
        let task = create(&mut harness, json!({"title": "Sweep", "assigneeActorId": "Kai", "progress": 30}))
            .unwrap();
        let from = harness.events.len();
        change(&mut harness, &task, "Zoe", fields.clone()).unwrap();
        assert_eq!(types(&harness, from), want, "{fields}");
        let updated = &harness.events[from];
        assert!(updated.causation_id.is_none());
        let cause = updated.event_id.to_string();
        assert!(harness.events[from + 1..].iter().all(|event| event.causation_id.as_ref() == Some(&cause)));
    }
}

/// Who may do what with a task without an assignee, and with one: Nova created it, Kai is the assignee, Zoe is neither.
#[test]
fn task_handoff_is_allowed_to_creator_and_assignee() {
    let cases = [
        ("assign", false, ["Nova"].as_slice()),
        ("assign", true, &["Nova", "Kai"]),
        ("accept", false, &["Nova", "Kai", "Zoe"]),
        ("accept", true, &["Kai"]),
        ("blocked", false, &["Nova", "Kai", "Zoe"]),
        ("blocked", true, &["Nova", "Kai"]),
        ("done", false, &["Nova", "Kai", "Zoe"]),
        ("done", true, &["Nova", "Kai"]),
    ];
    for (action, has_assignee, allowed) in cases {
        for actor in ["Nova", "Kai", "Zoe"] {
            let mut harness = Harness::new();
            let assignee = has_assignee.then_some("Kai");
            let task = create(&mut harness, json!({"title": "Sweep", "assigneeActorId": assignee})).unwrap();
            let fields = json!({"action": action, "toAssigneeActorId": "Bo", "note": "n"});
            let got = hand_off(&mut harness, &task, actor, fields);
            assert_eq!(got.is_ok(), allowed.contains(&actor), "{action} {has_assignee} {actor}");
            let Err(error) = got else { continue };
            assert_eq!(error.code, Code::Forbidden);
            assert_eq!(
                Value::Object(error.details),
                json!({"tenantId": "default", "roomId": "main", "actorId": actor, "taskId": task.task_id, "action": action})
            );
        }
    }
}

/// The task after a handoff, its events, its targets, and one inbox item for each of them.
#[test]
fn task_handoff_changes_the_task_and_notifies_its_targets() {
    let kai = json!({"assigneeActorId": "Kai"});
    let nobody = json!({});
    let cases = [
        (
            (&nobody, "Nova", json!({"action": "assign", "toAssigneeActorId": "Kai"})),
            json!(["active", "Kai", 0, null]),
            json!(["state", "assigneeActorId", "metadata"]),
            vec!["updated", "assigned", "handoff"],
            (json!(["Kai"]), "Kai"),
            vec!["Kai task_assigned"],
        ),
        (
            (&kai, "Kai", json!({"action": "assign", "toAssigneeActorId": "Zoe"})),
            json!(["active", "Zoe", 0, null]),
            json!(["assigneeActorId", "metadata"]),
            vec!["updated", "assigned", "handoff"],
            (json!(["Nova", "Zoe"]), "Zoe"),
            vec!["Zoe task_assigned", "Nova task_handoff"],
        ),
        (
            (&kai, "Nova", json!({"action": "assign", "toAssigneeActorId": "Zoe"})),
            json!(["active", "Zoe", 0, null]),
            json!(["assigneeActorId", "metadata"]),
            vec!["updated", "assigned", "handoff"],
            (json!(["Kai", "Zoe"]), "Zoe"),
            vec!["Zoe task_assigned", "Kai task_handoff"],
        ),
        (
            (&kai, "Nova", json!({"action": "assign", "toAssigneeActorId": "Kai"})),
            json!(["active", "Kai", 0, null]),
            json!(["metadata"]),
            vec!["updated", "handoff"],
            (json!(["Kai"]), "Kai"),
            vec!["Kai task_handoff"],
        ),
        (
            (&nobody, "Zoe", json!({"action": "accept"})),
            json!(["active", "Zoe", 0, null]),
            json!(["state", "assigneeActorId", "metadata"]),
            vec!["updated", "assigned", "handoff"],
            (json!(["Nova"]), "Zoe"),
            vec!["Zoe task_assigned", "Nova task_handoff"],
        ),
        (
            (&kai, "Kai", json!({"action": " Accept "})),
            json!(["active", "Kai", 0, null]),
            json!(["metadata"]),
            vec!["updated", "handoff"],
            (json!(["Nova"]), "Kai"),
            vec!["Nova task_handoff"],
        ),
        (
            (&kai, "Nova", json!({"action": "blocked", "note": "n"})),
            json!(["active", "Kai", 0, null]),
            json!(["metadata"]),
            vec!["updated", "handoff"],
            (json!(["Kai"]), "Kai"),
            vec!["Kai task_handoff"],
        ),
        (
            (&nobody, "Nova", json!({"action": "blocked", "blockedReason": "b"})),
            json!(["open", null, 0, null]),
            json!(["metadata"]),
            vec!["updated", "handoff"],
            (json!([]), "Nova"),
            vec![],
        ),
        (
            (&kai, "Kai", json!({"action": "done"})),
            json!(["done", "Kai", 100, "Kai"]),
            json!(["state", "progress", "metadata"]),
            vec!["updated", "progress_updated", "completed", "handoff"],
            (json!(["Nova"]), "Kai"),
            vec!["Nova task_handoff"],
        ),
        (
            (&nobody, "Zoe", json!({"action": "done"})),
            json!(["done", "Zoe", 100, "Zoe"]),
            json!(["state", "assigneeActorId", "progress", "metadata"]),
            vec!["updated", "assigned", "progress_updated", "completed", "handoff"],
            (json!(["Nova"]), "Zoe"),
            vec!["Zoe task_assigned", "Nova task_handoff"],
        ),
    ];
    for ((initial, actor, fields), want, changed, event_types, (targets, owner), items) in cases {
        let mut harness = Harness::new();
        let mut described = initial.clone();
        described["title"] = json!("Sweep");
        described["metadata"] = json!({"colour": "red"});
        let task = create(&mut harness, described).unwrap();
        let (from, items_before) = (harness.events.len(), harness.notified().len());
        let data = hand_off(&mut harness, &task, actor, fields.clone()).unwrap();
        let after: Task = serde_json::from_value(data["task"].clone()).unwrap();
        assert_eq!(summary(&after), want, "{initial} {actor} {fields}");
        assert_eq!(types(&harness, from), event_types, "{initial} {actor} {fields}");
        assert_eq!(harness.events[from].payload["changedFields"], changed, "{initial} {actor} {fields}");
        let handoff = &data["handoff"];
        assert_eq!(
            (&handoff["targetActorIds"], &handoff["ownerActorId"]),
            (&targets, &json!(owner)),
            "{fields}"
        );
        assert_eq!(&harness.notified()[items_before..], items, "{initial} {actor} {fields}");
        assert_eq!(json!(harness.events.last().unwrap().payload), *handoff);
        let record = &after.metadata["handoff"];
        assert_eq!((&record["by"], &record["at"]), (&json!(actor), &json!(harness.now)));
        assert_eq!(
            (&record["fromAssigneeActorId"], &record["toAssigneeActorId"]),
            (&json!(task.assignee_actor_id), &json!(after.assignee_actor_id))
        );
        assert_eq!(after.metadata["colour"], "red");
    }
}

/// The fields of a handoff are checked in order, and a done task is not handed off.
#[test]
fn task_handoff_fields_are_checked_in_order() {
    let mut harness = Harness::new();
    let task = create(&mut harness, json!({"title": "Sweep"})).unwrap();
    let allowed = json!(["assign", "accept", "blocked", "done"]);
    let cases = [
        (json!({}), Code::MissingField, json!({"field": "action"})),
        (json!({"action": "drop"}), Code::InvalidEnum, json!({"field": "action", "allowed": allowed})),
        (json!({"action": "assign"}), Code::MissingField, json!({"field": "toAssigneeActorId"})),
        (
            json!({"action": "assign", "toAssigneeActorId": 5}),
            Code::Validation,
            json!({"field": "toAssigneeActorId"}),
        ),
        (
            json!({"action": "blocked", "note": " "}),
            Code::Validation,
            json!({"fields": ["blockedReason", "note"]}),
        ),
        (json!({"action": "done", "note": 5}), Code::Validation, json!({"field": "note"})),
        (
            json!({"action": "done", "note": "x".repeat(4_001)}),
            Code::OutOfBounds,
            json!({"field": "note", "max": 4_000, "value": 4_001}),
        ),
        (
            json!({"action": "done", "threadId": "x".repeat(129)}),
            Code::OutOfBounds,
            json!({"field": "threadId"}),
        ),
        (json!({"action": "done", "metadata": 1}), Code::Validation, json!({"field": "metadata"})),
    ];
    for (fields, code, details) in cases {
        let error = hand_off(&mut harness, &task, "Nova", fields.clone()).unwrap_err();
        assert_eq!(error.code, code, "{fields}");
        assert_details(&error, &details);
    }
    hand_off(&mut harness, &task, "Nova", json!({"action": "done"})).unwrap();
    // That the task is done is checked before who may hand it off.
    for actor in ["Nova", "Zoe"] {
        let error = hand_off(&mut harness, &task, actor, json!({"action": "done"})).unwrap_err();
        let want = json!({"tenantId": "default", "taskId": task.task_id, "state": "done"});
        assert_eq!((error.code, Value::Object(error.details)), (Code::Conflict, want));
    }
}
