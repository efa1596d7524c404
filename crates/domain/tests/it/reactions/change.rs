//! Changing a rule.

use agentcafe_domain::kernel::{Code, DomainError, Rules};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::reactions::{ReactionRule, StoredReaction, UpdateReaction};
use serde_json::{Value, json};

use super::rule;
use crate::harness::{Harness, body};

/// The subscription after a change with this body; `enabled` is what it was before.
fn change(enabled: bool, fields: Value) -> Result<ReactionRule, DomainError> {
    let mut harness = Harness::new();
    let mut stored = rule();
    stored.subscription.enabled = enabled;
    harness.put(&stored);
    let (id, fields) = (stored.subscription.id.to_string(), body(&fields));
    harness.decide(
        &UpdateReaction::read(&id, &fields, &fields, &Rules::default(), Principal::Shared).unwrap(),
    )?;
    let StoredReaction { subscription, revision, .. } = harness.all().remove(0);
    assert_eq!((revision, subscription.updated_at), (1, harness.now));
    Ok(ReactionRule { updated_at: stored.subscription.updated_at, ..subscription })
}

/// A change keeps what it does not name; a field that it names as null gets its default.
#[test]
fn reaction_update_changes_the_named_fields() {
    let change = |fields| change(false, fields).unwrap();
    let before = ReactionRule { enabled: false, ..rule().subscription };
    let all = ReactionRule { trigger_event_types: vec!["*".to_owned()], ..before.clone() };
    for blank in [json!(null), json!([]), json!([" ", ""])] {
        assert_eq!(change(json!({"triggerEventTypes": blank})), all);
    }
    assert_eq!(change(json!({"metadata": {}, "unknown": 1})), before);
    assert_eq!(change(json!({"roomId": null})).room_id, None);
    assert!(change(json!({"enabled": null})).enabled);
    assert_eq!(change(json!({"cooldownMs": 0})).cooldown_ms, 0);
    assert_eq!(change(json!({"cooldownMs": null})).cooldown_ms, 1_000);
}

/// A body that names nothing to change is refused; the requester and the tenant are nothing to change.
#[test]
fn reaction_update_needs_a_field() {
    for fields in [json!({}), json!({"tenantId": "acme", "actorId": "y"}), json!({"unknown": 1})] {
        assert_eq!(change(true, fields).unwrap_err().code, Code::Validation);
    }
}

/// Another kind of action needs a payload that fits it.
#[test]
fn reaction_update_checks_the_merged_action() {
    let field = |fields| change(true, fields).unwrap_err().details["field"].clone();
    assert_eq!(field(json!({"actionType": "order"})), "actionPayload.itemId");
    assert_eq!(field(json!({"actionType": "move"})), "actionPayload.direction");
    assert_eq!(field(json!({"actionPayload": {"itemId": "tea"}})), "actionPayload.text");
    let kind = |fields| json!(change(true, fields).unwrap())["actionType"].clone();
    assert_eq!(kind(json!({"actionType": "say"})), "say");
    assert_eq!(kind(json!({"actionType": "order", "actionPayload": {"itemId": "tea"}})), "order");
}
