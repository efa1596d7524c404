//! Owners of rules: who may change them, how many there are, and as whom they act.

use agentcafe_domain::kernel::{Code, DomainError, Rules};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::permissions::Permission;
use agentcafe_domain::reactions::{
    CreateReaction, DeleteReaction, MAX_OWNED_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS, StoredReaction,
    UpdateReaction,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rule;
use crate::harness::{Harness, actor, body_of, holder};

fn create(harness: &mut Harness, caller: &Principal, over: &Value) -> Result<Value, DomainError> {
    let mut fields = json!({
        "targetActorId": "Nova", "roomId": "main", "actionType": "say", "actionPayload": { "text": "hello" },
    });
    fields.as_object_mut().unwrap().extend(over.as_object().cloned().unwrap());
    let command = CreateReaction::read(&body_of(caller, &fields), &Rules::default(), caller.clone())?;
    harness.decide(&command).map(|(_, mut data)| data["subscription"].take())
}

fn change(harness: &mut Harness, caller: &Principal, fields: &Value) -> Result<Value, DomainError> {
    let id = harness.all::<StoredReaction>().remove(0).subscription.id.to_string();
    let (query, fields) = (body_of(caller, &json!({})), body_of(caller, fields));
    let command = UpdateReaction::read(&id, &query, &fields, &Rules::default(), caller.clone())?;
    harness.decide(&command).map(|(_, mut data)| data["subscription"].take())
}

fn delete(harness: &mut Harness, caller: &Principal) -> Result<(), DomainError> {
    let id = harness.all::<StoredReaction>().remove(0).subscription.id.to_string();
    let command = DeleteReaction::read(&id, &body_of(caller, &json!({})), caller.clone())?;
    harness.decide(&command).map(drop)
}

#[test]
fn reaction_is_changed_by_its_owner_and_admins() {
    let cases = [
        (Principal::Shared, true),
        (holder(json!({ "keyId": "k2" })), true),
        (holder(json!({ "keyId": "k2", "rooms": ["main"] })), true),
        (holder(json!({ "keyId": "k2", "rooms": ["bar"] })), false),
        (holder(json!({ "keyId": "k2", "actors": ["Kai"] })), false),
        (holder(json!({ "keyId": "k2", "actors": ["*"], "scopes": ["admin"] })), true),
        (holder(json!({ "keyId": "k2", "tenantId": "other" })), false),
    ];
    for (caller, may) in cases {
        let mut harness = Harness::new();
        let made = create(&mut harness, &holder(json!({})), &json!({})).unwrap();
        assert_eq!((&made["owner"], &made["createdBy"]), (&json!("actor:Nova"), &json!("Nova")));
        let want = if may { Ok(()) } else { Err(Code::NotFound) };
        let changed = change(&mut harness, &caller, &json!({ "cooldownMs": 5 }));
        assert_eq!(changed.map(drop).map_err(|error| error.code), want, "{caller:?}");
        assert_eq!(delete(&mut harness, &caller).map_err(|error| error.code), want, "{caller:?}");
    }
}

/// The scope `operate` is needed, and to be an operator of the room.
#[test]
fn reaction_of_a_foreign_actor_needs_an_operator() {
    let (agent, operator) = (holder(json!({})), holder(json!({ "scopes": ["react", "operate"] })));
    let foreign = json!({ "targetActorId": "Kai" });
    let mut harness = Harness::new();
    let refused = create(&mut harness, &agent, &foreign).unwrap_err();
    assert_eq!((refused.code, &refused.details["scope"]), (Code::Forbidden, &json!("operate")));
    let refused = create(&mut harness, &operator, &foreign).unwrap_err();
    assert_eq!((refused.code, &refused.details["capability"]), (Code::Forbidden, &json!("canModerate")));
    create(&mut harness, &agent, &json!({})).unwrap();
    assert_eq!(change(&mut harness, &agent, &foreign).unwrap_err().details["scope"], "operate");
    let imposed = json!({ "createdBy": "Kai" });
    assert_eq!(create(&mut harness, &agent, &imposed).unwrap_err().details["field"], "createdBy");
    let imposed = json!({ "actorId": "Kai", "cooldownMs": 5 });
    assert_eq!(change(&mut harness, &agent, &imposed).unwrap_err().details["field"], "actorId");

    let nova = actor("Nova");
    harness.put(&Permission { can_moderate: true, ..Permission::default_of(&nova) });
    assert_eq!(change(&mut harness, &operator, &foreign).unwrap()["targetActorId"], "Kai");
    assert_eq!(change(&mut harness, &agent, &json!({ "cooldownMs": 5 })).unwrap_err().code, Code::Forbidden);
    let anywhere = json!({ "targetActorId": "Kai", "roomId": null });
    assert_eq!(create(&mut harness, &operator, &anywhere).unwrap_err().code, Code::Forbidden);
}

/// A key of several actors makes rules for each of them.
#[test]
fn reaction_of_an_own_actor_needs_no_operator() {
    let team = holder(json!({ "actors": ["Nova", "Kai"] }));
    let made = create(&mut Harness::new(), &team, &json!({ "targetActorId": "Kai", "createdBy": "Nova" }));
    assert_eq!(made.unwrap()["owner"], "key:k1");
}

#[test]
fn reactions_of_an_owner_are_bounded() {
    let mut harness = Harness::new();
    let (nova, kai) = (holder(json!({})), holder(json!({ "keyId": "k2", "actors": ["Kai"] })));
    for _ in 0..MAX_OWNED_SUBSCRIPTIONS {
        create(&mut harness, &nova, &json!({})).unwrap();
    }
    let error = create(&mut harness, &nova, &json!({})).unwrap_err();
    assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_OWNED_SUBSCRIPTIONS)));
    assert!(create(&mut harness, &kai, &json!({ "targetActorId": "Kai" })).is_ok());
    assert!(create(&mut harness, &Principal::Shared, &json!({})).is_ok());
}

/// Rules are counted as they come and go. Those that an import or an earlier version brought are counted with the next one.
#[test]
fn reactions_of_a_tenant_are_bounded() {
    let mut harness = Harness::new();
    for number in 2..=MAX_SUBSCRIPTIONS as u128 {
        let mut stored = rule();
        stored.subscription.id = Uuid::from_u128(number << 64);
        harness.put(&stored);
    }
    let create_in = |harness: &mut Harness, tenant: &str| {
        create(harness, &Principal::Shared, &json!({ "tenantId": tenant })).map(drop)
    };
    for _ in 0..2 {
        create_in(&mut harness, "acme").unwrap();
        let error = create_in(&mut harness, "acme").unwrap_err();
        assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_SUBSCRIPTIONS)));
        delete(&mut harness, &Principal::Shared).unwrap();
    }
    create_in(&mut harness, "acme").unwrap();
    create_in(&mut harness, "other").unwrap();
}

/// What an earlier version stored has no owner: agents do not reach it.
#[test]
fn reaction_without_an_owner_is_changed_by_admins() {
    let mut harness = Harness::new();
    create(&mut harness, &Principal::Shared, &json!({})).unwrap();
    let stored = serde_json::to_value(harness.all::<StoredReaction>().remove(0)).unwrap();
    assert!(stored["subscription"].get("owner").is_none(), "{stored}");
    assert_eq!(delete(&mut harness, &holder(json!({}))).unwrap_err().code, Code::NotFound);
    assert!(delete(&mut harness, &holder(json!({ "actors": ["*"], "scopes": ["admin"] }))).is_ok());
}
