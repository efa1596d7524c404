//! What becomes of a task, as tables of cases.

use serde_json::{Value, json};

use super::Task;
use super::change::{TaskPatch, UpdateTask};
use super::create::CreateTask;
use super::handoff::HandOffTask;
use crate::kernel::{ActorId, Code, DomainError, MAX_OBJECT_BYTES, Success, Timestamp};
use crate::scene::{Scene, body};
use crate::work::{Editor, MAX_CONTENT_CHARS};

fn by(actor: &str, mut fields: Value) -> Value {
    fields["actorId"] = json!(actor);
    fields
}

fn create(scene: &mut Scene, fields: Value) -> Result<Task, DomainError> {
    let (success, mut data) = scene.decide(&CreateTask::read(&body(&by("Nova", fields))).unwrap())?;
    assert_eq!(success, Success::Created);
    Ok(serde_json::from_value(data["task"].take()).unwrap())
}

fn change(scene: &mut Scene, task: &Task, actor: &str, fields: Value) -> Result<Task, DomainError> {
    let fields = body(&by(actor, fields));
    let changer = Editor::read(&fields, &fields).unwrap();
    let (success, mut data) = scene.decide(&UpdateTask::read(&fields, changer, task.clone()))?;
    assert_eq!(success, Success::Ok);
    Ok(serde_json::from_value(data["task"].take()).unwrap())
}

fn hand_over(scene: &mut Scene, task: &Task, actor: &str, fields: Value) -> Result<Value, DomainError> {
    let fields = body(&by(actor, fields));
    let changer = Editor::read(&fields, &fields).unwrap();
    scene.decide(&HandOffTask::read(&fields, changer, task.clone())).map(|(_, data)| data)
}

/// State, assignee, progress, and who finished it.
fn standing(task: &Task) -> Value {
    json!([task.state, task.assignee_actor_id, task.progress, task.completed_by])
}

/// The types of the events after the first `from`, without `task_`.
fn types(scene: &Scene, from: usize) -> Vec<&'static str> {
    scene.events[from..].iter().map(|event| event.kind.as_str().trim_start_matches("task_")).collect()
}

/// How a task begins, and what is told of it, in order and caused by the first.
#[test]
fn a_task_begins_as_it_is_described() {
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
    for (mut fields, want, told) in cases {
        fields["title"] = json!(" Sweep ");
        let mut scene = Scene::new();
        let task = create(&mut scene, fields.clone()).unwrap();
        assert_eq!((standing(&task), task.title.as_str()), (want, "Sweep"), "{fields}");
        assert_eq!(task.completed_at, task.completed_by.as_ref().map(|_| scene.now));
        assert_eq!(types(&scene, 0), told, "{fields}");
        let first = scene.events[0].event_id.to_string();
        assert!(scene.events[1..].iter().all(|event| event.causation_id.as_ref() == Some(&first)));
        assert_eq!(scene.all::<Task>(), [task]);
    }
}

/// Fields are checked in order, and each has a limit.
#[test]
fn fields_are_checked_in_order() {
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
        let mut scene = Scene::new();
        let error = create(&mut scene, fields.clone()).unwrap_err();
        let task = create(&mut scene, json!({"title": "Sweep"})).unwrap();
        let mut refusals = vec![error];
        if fields != json!({}) {
            refusals.push(change(&mut scene, &task, "Kai", fields.clone()).unwrap_err());
        }
        for error in refusals {
            assert_eq!(error.code, code, "{fields}");
            for (name, want) in details.as_object().unwrap() {
                assert_eq!(&error.details[name], want, "{fields}");
            }
        }
    }
    let mut scene = Scene::new();
    let task = create(&mut scene, json!({"title": "Sweep"})).unwrap();
    let error = change(&mut scene, &task, "Kai", json!({"reason": "none"})).unwrap_err();
    let six = json!(["title", "description", "state", "assigneeActorId", "progress", "metadata"]);
    assert_eq!((error.code, &error.details["fields"]), (Code::Validation, &six));
    for (name, code) in [("title", Code::MissingField), ("state", Code::InvalidEnum)] {
        assert_eq!(change(&mut scene, &task, "Kai", json!({name: null})).unwrap_err().code, code, "{name}");
    }
}

/// What a patch makes of a task, and which fields it says have changed.
#[test]
fn a_patch_changes_what_it_names_and_what_follows() {
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
    for (begun, fields, want, changed) in cases {
        let mut scene = Scene::new();
        let mut described = begun.clone();
        described["title"] = json!("Sweep");
        let before = create(&mut scene, described).unwrap();
        let patch = TaskPatch::read(&body(&fields)).unwrap();
        let later = Timestamp::from_millis(2_000_000);
        let (after, named) = patch.apply(&before, &ActorId::parse("Zoe").unwrap(), later);
        assert_eq!((standing(&after), json!(named)), (want, changed), "{begun} {fields}");
        assert_eq!((after.created_at, after.updated_at), (before.created_at, later));
        let finished_at = after.completed_by.as_ref().map(|_| before.completed_at.unwrap_or(later));
        assert_eq!(after.completed_at, finished_at, "{begun} {fields}");
    }
}

/// A change tells of the update first, then of what else is new, caused by it.
#[test]
fn a_change_tells_only_what_is_new() {
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
        let mut scene = Scene::new();
        let task =
            create(&mut scene, json!({"title": "Sweep", "assigneeActorId": "Kai", "progress": 30})).unwrap();
        let from = scene.events.len();
        change(&mut scene, &task, "Zoe", fields.clone()).unwrap();
        assert_eq!(types(&scene, from), want, "{fields}");
        let updated = &scene.events[from];
        assert!(updated.causation_id.is_none());
        let cause = updated.event_id.to_string();
        assert!(scene.events[from + 1..].iter().all(|event| event.causation_id.as_ref() == Some(&cause)));
    }
}

/// Who may do what with a task that has nobody, or somebody: Nova made it, Kai has it, Zoe is a stranger.
#[test]
fn handoffs_are_open_to_those_concerned() {
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
    for (action, is_given, allowed) in cases {
        for actor in ["Nova", "Kai", "Zoe"] {
            let mut scene = Scene::new();
            let assignee = is_given.then_some("Kai");
            let task = create(&mut scene, json!({"title": "Sweep", "assigneeActorId": assignee})).unwrap();
            let fields = json!({"action": action, "toAssigneeActorId": "Bo", "note": "n"});
            let got = hand_over(&mut scene, &task, actor, fields);
            assert_eq!(got.is_ok(), allowed.contains(&actor), "{action} {is_given} {actor}");
            let Err(error) = got else { continue };
            assert_eq!(error.code, Code::Forbidden);
            assert_eq!(
                Value::Object(error.details),
                json!({"tenantId": "default", "roomId": "main", "actorId": actor, "taskId": task.task_id, "action": action})
            );
        }
    }
}

/// What a handoff makes of the task, what it tells, whom it is meant for, and who gets which item once.
#[test]
fn handoffs_take_effect_and_are_told() {
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
    for ((begun, actor, fields), want, changed, told, (targets, owner), items) in cases {
        let mut scene = Scene::new();
        let mut described = begun.clone();
        described["title"] = json!("Sweep");
        described["metadata"] = json!({"colour": "red"});
        let task = create(&mut scene, described).unwrap();
        let (from, heard) = (scene.events.len(), scene.notified().len());
        let data = hand_over(&mut scene, &task, actor, fields.clone()).unwrap();
        let after: Task = serde_json::from_value(data["task"].clone()).unwrap();
        assert_eq!(standing(&after), want, "{begun} {actor} {fields}");
        assert_eq!(types(&scene, from), told, "{begun} {actor} {fields}");
        assert_eq!(scene.events[from].payload["changedFields"], changed, "{begun} {actor} {fields}");
        let handoff = &data["handoff"];
        assert_eq!(
            (&handoff["targetActorIds"], &handoff["ownerActorId"]),
            (&targets, &json!(owner)),
            "{fields}"
        );
        assert_eq!(&scene.notified()[heard..], items, "{begun} {actor} {fields}");
        assert_eq!(json!(scene.events.last().unwrap().payload), *handoff);
        let kept = &after.metadata["handoff"];
        assert_eq!((&kept["by"], &kept["at"]), (&json!(actor), &json!(scene.now)));
        assert_eq!(
            (&kept["fromAssigneeActorId"], &kept["toAssigneeActorId"]),
            (&json!(task.assignee_actor_id), &json!(after.assignee_actor_id))
        );
        assert_eq!(after.metadata["colour"], "red", "what else stands there stays");
    }
}

/// A handoff's own fields, and a done task is nobody's to hand over.
#[test]
fn a_handoff_is_refused_for_what_it_says() {
    let mut scene = Scene::new();
    let task = create(&mut scene, json!({"title": "Sweep"})).unwrap();
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
        let error = hand_over(&mut scene, &task, "Nova", fields.clone()).unwrap_err();
        assert_eq!(error.code, code, "{fields}");
        for (name, want) in details.as_object().unwrap() {
            assert_eq!(&error.details[name], want, "{fields}");
        }
    }
    hand_over(&mut scene, &task, "Nova", json!({"action": "done"})).unwrap();
    // A stranger learns the same: that it is done comes before who may.
    for actor in ["Nova", "Zoe"] {
        let error = hand_over(&mut scene, &task, actor, json!({"action": "done"})).unwrap_err();
        let want = json!({"tenantId": "default", "taskId": task.task_id, "state": "done"});
        assert_eq!((error.code, Value::Object(error.details)), (Code::Conflict, want));
    }
}
