//! Creating and changing shared objects.

use agentcafe_domain::kernel::{Code, DomainError};
use agentcafe_domain::objects::SharedObject;
use agentcafe_domain::objects::change::UpdateSharedObject;
use agentcafe_domain::objects::create::CreateSharedObject;
use agentcafe_domain::work::Editor;
use serde_json::{Value, json};

use crate::harness::{Harness, assert_details, body};

fn create(harness: &mut Harness, mut fields: Value) -> Result<SharedObject, DomainError> {
    fields["actorId"] = json!("Nova");
    let (_, mut data) = harness.decide(&CreateSharedObject::read(&body(&fields)).unwrap())?;
    Ok(serde_json::from_value(data["object"].take()).unwrap())
}

fn change(
    harness: &mut Harness,
    object: &SharedObject,
    mut fields: Value,
) -> Result<SharedObject, DomainError> {
    fields["actorId"] = json!("Kai");
    let fields = body(&fields);
    let editor = Editor::read(&fields, &fields).unwrap();
    let (_, mut data) = harness.decide(&UpdateSharedObject::read(&fields, editor, object.clone()))?;
    Ok(serde_json::from_value(data["object"].take()).unwrap())
}

/// A token always has a quantity; another object has what was sent.
#[test]
fn shared_object_of_type_token_always_has_a_quantity() {
    let note = json!({});
    let token = json!({"objectType": "token", "quantity": 5});
    let cases = [
        (&note, json!({"title": "t"}), json!(null), json!(["title"])),
        (&note, json!({"quantity": 3}), json!(3), json!(["quantity"])),
        (&note, json!({"objectType": "token"}), json!(0), json!(["objectType", "quantity"])),
        (&note, json!({"objectType": "token", "quantity": 2}), json!(2), json!(["objectType", "quantity"])),
        (&token, json!({"quantity": 0}), json!(0), json!(["quantity"])),
        (&token, json!({"quantity": null}), json!(0), json!(["quantity"])),
        (&token, json!({"quantity": ""}), json!(0), json!(["quantity"])),
        (&token, json!({"objectType": "note"}), json!(5), json!(["objectType"])),
        (
            &token,
            json!({"objectType": "whiteboard", "quantity": null}),
            json!(null),
            json!(["objectType", "quantity"]),
        ),
        (
            &token,
            json!({"title": " ", "objectKey": "k", "content": " c ", "data": null, "metadata": {"a": 1}}),
            json!(5),
            json!(["objectKey", "title", "content", "data", "metadata"]),
        ),
    ];
    for (initial, fields, quantity, changed) in cases {
        let mut harness = Harness::new();
        let before = create(&mut harness, initial.clone()).unwrap();
        let after = change(&mut harness, &before, fields.clone()).unwrap();
        assert_eq!(json!(after.quantity), quantity, "{initial} {fields}");
        assert_eq!((after.version, after.created_by.as_str(), after.updated_by.as_str()), (2, "Nova", "Kai"));
        let updated = &harness.events[1].payload;
        assert_eq!(
            (&updated["changedFields"], &updated["quantity"]),
            (&changed, &quantity),
            "{initial} {fields}"
        );
        assert_eq!(harness.all::<SharedObject>(), [after]);
    }
    let mut harness = Harness::new();
    for (fields, quantity) in
        [(json!({"objectType": "token"}), json!(0)), (json!({"quantity": "2.5"}), json!(3))]
    {
        assert_eq!(json!(create(&mut harness, fields).unwrap().quantity), quantity);
    }
}

/// Fields are checked in order, and each has a limit.
#[test]
fn shared_object_fields_are_checked_in_order() {
    let types = json!(["whiteboard", "note", "token"]);
    let long = "x".repeat(201);
    let cases = [
        (
            json!({"objectType": "cup", "objectKey": 5}),
            Code::InvalidEnum,
            json!({"field": "objectType", "allowed": types}),
        ),
        (json!({"objectKey": 5, "title": 5}), Code::Validation, json!({"field": "objectKey"})),
        (
            json!({"objectKey": long}),
            Code::OutOfBounds,
            json!({"field": "objectKey", "max": 200, "value": 201}),
        ),
        (json!({"title": [], "content": 5}), Code::Validation, json!({"field": "title"})),
        (json!({"content": 5, "data": 5}), Code::Validation, json!({"field": "content"})),
        (
            json!({"content": "x".repeat(16_385)}),
            Code::OutOfBounds,
            json!({"field": "content", "max": 16_384}),
        ),
        (json!({"data": [], "quantity": -1}), Code::Validation, json!({"field": "data"})),
        (
            json!({"data": {"a": "x".repeat(65_536)}}),
            Code::OutOfBounds,
            json!({"field": "data", "max": 65_536}),
        ),
        (
            json!({"quantity": -1, "metadata": 5}),
            Code::OutOfBounds,
            json!({"field": "quantity", "min": 0, "value": -1.0}),
        ),
        (
            json!({"quantity": "many"}),
            Code::OutOfBounds,
            json!({"field": "quantity", "min": 0, "value": "many"}),
        ),
        (json!({"metadata": "x"}), Code::Validation, json!({"field": "metadata"})),
    ];
    let mut harness = Harness::new();
    let object = create(&mut harness, json!({})).unwrap();
    for (fields, code, details) in cases {
        let refusals = [
            create(&mut harness, fields.clone()).unwrap_err(),
            change(&mut harness, &object, fields.clone()).unwrap_err(),
        ];
        for error in refusals {
            assert_eq!(error.code, code, "{fields}");
            assert_details(&error, &details);
        }
    }
    let null = change(&mut harness, &object, json!({"objectType": null})).unwrap_err();
    assert_eq!((null.code, &null.details["allowed"]), (Code::InvalidEnum, &types));
    let nothing = change(&mut harness, &object, json!({"expectedVersion": 1})).unwrap_err();
    let seven = json!(["objectType", "objectKey", "title", "content", "data", "quantity", "metadata"]);
    assert_eq!((nothing.code, &nothing.details["fields"]), (Code::Validation, &seven));
    assert_eq!(create(&mut harness, json!({"objectType": null})).unwrap().object_type.as_str(), "note");
}

/// A change that expects a version changes that version or nothing.
#[test]
fn shared_object_of_another_version_than_expected_stays() {
    let mut harness = Harness::new();
    let object = create(&mut harness, json!({})).unwrap();
    let patch = |expected: Value| json!({"title": "t", "expectedVersion": expected});
    assert_eq!(change(&mut harness, &object, patch(json!("1"))).unwrap().version, 2);
    assert_eq!(change(&mut harness, &object, patch(json!(null))).unwrap().version, 3);
    for expected in [0, 1, 2, 4, i64::MAX] {
        let error = change(&mut harness, &object, patch(json!(expected))).unwrap_err();
        let want = json!({"tenantId": "default", "objectId": object.object_id, "expectedVersion": expected, "version": 3});
        assert_eq!((error.code, Value::Object(error.details)), (Code::Conflict, want));
    }
    let error = change(&mut harness, &object, patch(json!(1.5))).unwrap_err();
    assert_eq!((error.code, &error.details["field"]), (Code::Validation, &json!("expectedVersion")));
}
