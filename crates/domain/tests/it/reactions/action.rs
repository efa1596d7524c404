//! The payloads of actions.

use agentcafe_domain::kernel::{Code, Rules};
use agentcafe_domain::reactions::ReactionAction;
use agentcafe_domain::reactions::action::ActionKind;
use serde_json::{Value, json};

fn read(kind: ActionKind, payload: Value) -> Result<Value, (Code, Value)> {
    let read = ReactionAction::read(kind, payload.as_object().cloned().unwrap(), &Rules::default());
    read.map(|action| action.payload().into()).map_err(|error| (error.code, error.details["field"].clone()))
}

/// Payloads are checked by kind, named in full, and reduced.
#[test]
fn reaction_payload_is_checked_and_reduced() {
    let bad = |code: Code, field: &str| Err((code, json!(format!("actionPayload.{field}"))));
    let cases = [
        (ActionKind::Say, json!({"text": " hi ", "x": 1}), Ok(json!({"text": "hi", "ttlMs": 7_000}))),
        (ActionKind::Say, json!({"text": "hi", "ttlMs": 1}), Ok(json!({"text": "hi", "ttlMs": 2_000}))),
        (
            ActionKind::Say,
            json!({"text": "hi", "ttlMs": "99999", "mentions": [" Kai ", "Kai"]}),
            Ok(json!({"text": "hi", "ttlMs": 30_000, "mentions": ["Kai"]})),
        ),
        (ActionKind::Say, json!({}), bad(Code::Validation, "text")),
        (ActionKind::Say, json!({"text": " "}), bad(Code::Validation, "text")),
        (ActionKind::Say, json!({"text": 5}), bad(Code::Validation, "text")),
        (ActionKind::Say, json!({"text": "x".repeat(121)}), bad(Code::OutOfBounds, "text")),
        (ActionKind::Say, json!({"text": "x", "ttlMs": "soon"}), bad(Code::OutOfBounds, "ttlMs")),
        (ActionKind::Say, json!({"text": "x", "mentions": "Kai"}), bad(Code::Validation, "mentions")),
        (ActionKind::Say, json!({"text": "x", "mentions": ["a\u{7}"]}), bad(Code::Validation, "mentions")),
        (ActionKind::Move, json!({"direction": "n"}), Ok(json!({"direction": "N", "steps": 1}))),
        (
            ActionKind::Move,
            json!({"direction": "N", "steps": 50}),
            Ok(json!({"direction": "N", "steps": 50})),
        ),
        (ActionKind::Move, json!({}), bad(Code::InvalidDirection, "direction")),
        (ActionKind::Move, json!({"direction": 5}), bad(Code::InvalidDirection, "direction")),
        (ActionKind::Move, json!({"direction": "N", "steps": 0}), bad(Code::OutOfBounds, "steps")),
        (ActionKind::Move, json!({"direction": "N", "steps": 51}), bad(Code::OutOfBounds, "steps")),
        (ActionKind::Order, json!({"itemId": "tea"}), Ok(json!({"itemId": "tea", "size": "regular"}))),
        (ActionKind::Order, json!({"size": "large"}), bad(Code::Validation, "itemId")),
        (ActionKind::Order, json!({"itemId": "tea", "size": 1}), bad(Code::Validation, "size")),
    ];
    for (kind, payload, want) in cases {
        assert_eq!(read(kind, payload.clone()), want, "{kind:?} {payload}");
    }
}

/// The type and the payload are two members side by side, and are read back.
#[test]
fn reaction_action_is_two_members() {
    let payload = json!({"direction": "W", "steps": 3}).as_object().cloned().unwrap();
    let action = ReactionAction::read(ActionKind::Move, payload.clone(), &Rules::default()).unwrap();
    let shown = serde_json::to_value(&action).unwrap();
    assert_eq!(shown, json!({"actionType": "move", "actionPayload": payload}));
    assert_eq!(serde_json::from_value::<ReactionAction>(shown).unwrap(), action);
}
