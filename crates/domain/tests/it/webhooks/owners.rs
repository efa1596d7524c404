//! Owners of subscriptions: who may change them, how many there are, and which secret they have.

use agentcafe_domain::kernel::{Code, DomainError, Portable, Rules, Secret, Sequence};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::webhooks::change::{DeleteSubscription, UpdateSubscription};
use agentcafe_domain::webhooks::sealing::SecretKeys;
use agentcafe_domain::webhooks::subscribe::CreateSubscription;
use agentcafe_domain::webhooks::target;
use agentcafe_domain::webhooks::{MAX_OWNED_SUBSCRIPTIONS, Subscription, WebhookSecret};
use serde_json::{Value, json};

use crate::harness::{Harness, body_of, holder};

const TARGET: &str = "https://example.com/hook?key=k1";
/// As it is shown.
const SHOWN: &str = "https://example.com/hook?key=***";

fn subscribe(harness: &mut Harness, caller: &Principal) -> Result<Value, DomainError> {
    let fields = body_of(caller, &json!({ "targetUrl": TARGET }));
    let command = CreateSubscription::read(&fields, &Rules::default(), caller.clone(), [7; 32])?;
    harness.decide(&command).map(|(_, mut data)| data["subscription"].take())
}

fn change(harness: &mut Harness, caller: &Principal, fields: &Value) -> Result<Value, DomainError> {
    let (stored, fields) = (harness.all::<Subscription>().remove(0), body_of(caller, fields));
    let command = UpdateSubscription::read(stored, &fields, &Rules::default(), caller.clone(), [9; 32]);
    harness.decide(&command).map(|(_, mut data)| data["subscription"].take())
}

/// Another key of the actor is the same owner; a key of several actors is an owner by itself. A key of some rooms does not reach
/// what is about all rooms.
#[test]
fn webhook_subscription_is_changed_by_its_owner_and_admins() {
    let nova = json!(["Nova"]);
    let cases = [
        (Principal::Shared, true),
        (holder(json!({ "actors": nova })), true),
        (holder(json!({ "keyId": "k2", "actors": nova })), true),
        (holder(json!({ "keyId": "k2", "actors": nova, "rooms": ["main"] })), false),
        (holder(json!({ "keyId": "k2", "actors": ["Kai"] })), false),
        (holder(json!({ "keyId": "k2", "actors": ["Nova", "Kai"] })), false),
        (holder(json!({ "keyId": "k2", "actors": ["*"], "scopes": ["admin"] })), true),
        (holder(json!({ "keyId": "k2", "actors": nova, "tenantId": "other" })), false),
        (holder(json!({ "keyId": "k2", "actors": ["*"], "scopes": ["admin"], "tenantId": "other" })), false),
        (holder(json!({ "keyId": "k2", "actors": ["*"], "scopes": ["admin"], "tenantId": null })), true),
    ];
    for (caller, may) in cases {
        let mut harness = Harness::new();
        let made = subscribe(&mut harness, &holder(json!({ "actors": nova }))).unwrap();
        assert_eq!(made["owner"], "actor:Nova");
        let changed = change(&mut harness, &caller, &json!({ "maxRetries": 1 }));
        assert_eq!(
            changed.map(drop).map_err(|error| error.code),
            if may { Ok(()) } else { Err(Code::NotFound) }
        );
        let stored = harness.all::<Subscription>().remove(0);
        let deleted = harness.decide(&DeleteSubscription::new(stored, caller.clone()));
        assert_eq!(deleted.is_ok(), may, "{caller:?}");
    }
    let several = holder(json!({ "keyId": "k7", "actors": ["Nova", "Kai"] }));
    assert_eq!(subscribe(&mut Harness::new(), &several).unwrap()["owner"], "key:k7");
}

/// What an earlier version stored has no owner: agents do not reach it.
#[test]
fn webhook_subscription_without_an_owner_is_changed_by_admins() {
    let mut harness = Harness::new();
    subscribe(&mut harness, &Principal::Shared).unwrap();
    let mut stored = serde_json::to_value(harness.all::<Subscription>().remove(0)).unwrap();
    stored.as_object_mut().unwrap().retain(|name, _| name != "owner" && name != "reader");
    harness.put(&serde_json::from_value::<Subscription>(stored).unwrap());
    let fields = json!({ "maxRetries": 1 });
    assert_eq!(change(&mut harness, &holder(json!({})), &fields).unwrap_err().code, Code::NotFound);
    let admin = holder(json!({ "actors": ["*"], "scopes": ["admin"] }));
    assert!(change(&mut harness, &admin, &fields).is_ok());
}

/// Each owner has a limit of its own; who has no API key has only that of the store.
#[test]
fn webhook_subscriptions_of_an_owner_are_bounded() {
    let mut harness = Harness::new();
    let (nova, kai) = (holder(json!({})), holder(json!({ "keyId": "k2", "actors": ["Kai"] })));
    for _ in 0..MAX_OWNED_SUBSCRIPTIONS {
        subscribe(&mut harness, &nova).unwrap();
    }
    let error = subscribe(&mut harness, &nova).unwrap_err();
    assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_OWNED_SUBSCRIPTIONS)));
    assert!(subscribe(&mut harness, &kai).is_ok());
    assert!(subscribe(&mut harness, &Principal::Shared).is_ok());
    let own = harness.all::<Subscription>().into_iter().find(|one| one.is_visible_to(&nova)).unwrap();
    assert!(harness.decide(&DeleteSubscription::new(own, nova.clone())).is_ok());
    assert!(subscribe(&mut harness, &nova).is_ok());
}

/// Another target gets another secret, so that deliveries which the owner's receiver would believe are not sent elsewhere.
#[test]
fn webhook_secret_is_rotated_with_the_target_for_holders_of_keys() {
    let cases = [
        (holder(json!({})), json!({ "targetUrl": "https://example.com/other" }), true),
        (holder(json!({})), json!({ "targetUrl": TARGET, "maxRetries": 1 }), false),
        (holder(json!({})), json!({ "targetUrl": SHOWN, "maxRetries": 1 }), false),
        (holder(json!({})), json!({ "targetUrl": "https://example.com/hook?key=k2" }), true),
        (holder(json!({})), json!({ "maxRetries": 1 }), false),
        (Principal::Shared, json!({ "targetUrl": "https://example.com/other" }), false),
    ];
    for (caller, fields, rotates) in cases {
        let mut harness = Harness::new();
        subscribe(&mut harness, &caller).unwrap();
        let before = SecretKeys::default().open(&harness.all::<WebhookSecret>().remove(0)).unwrap();
        let shown = change(&mut harness, &caller, &fields).unwrap();
        let after = SecretKeys::default().open(&harness.all::<WebhookSecret>().remove(0)).unwrap();
        assert_eq!(before.secret != after.secret, rotates, "{fields}");
        let wanted = fields["targetUrl"].as_str().filter(|target| *target != SHOWN).unwrap_or(TARGET);
        let stored = harness.all::<Subscription>().remove(0).target_url;
        assert_eq!(
            (after.target_url.map_or(stored.clone(), Secret::into_inner), target::shown(wanted)),
            (wanted.to_owned(), stored)
        );
        assert_eq!(shown["secret"].as_str(), rotates.then(|| after.secret.expose()), "{fields}");
    }
    let mut harness = Harness::new();
    subscribe(&mut harness, &holder(json!({}))).unwrap();
    let given = json!({ "targetUrl": "https://example.com/other", "secret": "one-of-my-own" });
    assert_eq!(change(&mut harness, &holder(json!({})), &given).unwrap()["secret"], "one-of-my-own");
}

/// With an API key, the actor whose events are sent lends its access to private tables only if the caller may be it.
#[test]
fn webhook_subscription_reads_as_an_actor_of_its_key() {
    let cases = [
        (Principal::Shared, "Kai", Some("Kai")),
        (holder(json!({})), "Kai", Some("Nova")),
        (holder(json!({})), "Nova", Some("Nova")),
        (holder(json!({ "actors": ["Nova", "Kai"] })), "Kai", Some("Kai")),
        (holder(json!({ "actors": ["Nova", "Kai"] })), "Mira", None),
        (holder(json!({ "actors": ["team-a/"] })), "team-a/Kai", Some("team-a/Kai")),
    ];
    for (caller, actor, reader) in cases {
        let mut harness = Harness::new();
        subscribe(&mut harness, &caller).unwrap();
        change(&mut harness, &caller, &json!({ "actorId": actor })).unwrap();
        let stored = harness.all::<Subscription>().remove(0);
        assert_eq!(stored.actor_id.as_ref().map(|id| id.as_str()), Some(actor));
        assert_eq!(stored.reader().map(|id| id.as_str()), reader, "{caller:?}");
    }
}

/// A key of one room subscribes to that room; one of several rooms names one of them, but not when it changes something else.
#[test]
fn webhook_subscription_stays_in_the_rooms_of_its_key() {
    let mut harness = Harness::new();
    let (one, two) = (holder(json!({ "rooms": ["main"] })), holder(json!({ "rooms": ["main", "bar"] })));
    assert_eq!(subscribe(&mut harness, &one).unwrap()["roomId"], "main");
    for fields in [json!({ "roomId": null }), json!({ "roomId": "attic" })] {
        assert_eq!(change(&mut harness, &two, &fields).unwrap_err().code, Code::Forbidden, "{fields}");
    }
    assert_eq!(change(&mut harness, &two, &json!({ "maxRetries": 1 })).unwrap()["roomId"], "main");
    assert_eq!(change(&mut harness, &two, &json!({ "roomId": "bar" })).unwrap()["roomId"], "bar");
    assert_eq!(change(&mut harness, &one, &json!({ "maxRetries": 1 })).unwrap_err().code, Code::NotFound);
    assert_eq!(subscribe(&mut harness, &two).unwrap_err().details["field"], "roomId");
}

/// What is moved to another store has neither the secret nor the values of its target's query: it is enabled with both.
#[test]
fn webhook_subscription_without_its_secrets_is_not_enabled() {
    let mut source = Harness::new();
    subscribe(&mut source, &Principal::Shared).unwrap();
    let mut moved = source.all::<Subscription>().remove(0);
    moved.adapt(Sequence(1));
    let mut harness = Harness::new();
    harness.put(&moved);
    let mut refused = |fields: Value| {
        let error = change(&mut harness, &Principal::Shared, &fields).unwrap_err();
        (error.code, error.details["field"].clone())
    };
    assert_eq!(refused(json!({ "enabled": true })), (Code::Validation, json!("secret")));
    assert_eq!(
        refused(json!({ "enabled": true, "secret": "s3cret" })),
        (Code::Validation, json!("targetUrl"))
    );
    assert_eq!(
        refused(json!({ "enabled": true, "targetUrl": SHOWN })),
        (Code::Validation, json!("targetUrl"))
    );
    let changed =
        change(&mut harness, &Principal::Shared, &json!({ "enabled": true, "targetUrl": TARGET })).unwrap();
    assert_eq!((&changed["enabled"], &changed["targetUrl"]), (&json!(true), &json!(SHOWN)));
    assert!(changed["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
}
