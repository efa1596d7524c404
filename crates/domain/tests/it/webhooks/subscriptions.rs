//! Creating and deleting subscriptions.

use agentcafe_domain::kernel::{Code, Rules};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::webhooks::Subscription;
use agentcafe_domain::webhooks::change::DeleteSubscription;
use agentcafe_domain::webhooks::counter::{MAX_SUBSCRIPTIONS, MAX_TENANT_SUBSCRIPTIONS, WebhookCounter};
use agentcafe_domain::webhooks::subscribe::CreateSubscription;
use serde_json::json;

use crate::harness::{Harness, body};

/// The number of subscriptions is bounded, and a deleted one makes room.
#[test]
fn webhook_subscriptions_are_bounded() {
    let mut harness = Harness::new();
    let counter = json!({ "name": "revisions", "last": 9, "open": MAX_SUBSCRIPTIONS - 1 });
    harness.put(&serde_json::from_value::<WebhookCounter>(counter).unwrap());
    let subscribe = || {
        let wanted = body(&json!({ "targetUrl": "https://example.com/hook" }));
        CreateSubscription::read(&wanted, &Rules::default(), Principal::Shared, [7; 32]).unwrap()
    };
    assert!(harness.decide(&subscribe()).is_ok());
    let error = harness.decide(&subscribe()).unwrap_err();
    assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_SUBSCRIPTIONS)));
    let made = harness.all::<Subscription>().remove(0);
    assert!(harness.decide(&DeleteSubscription::new(made, Principal::Shared)).is_ok());
    assert!(harness.decide(&subscribe()).is_ok());
}

/// A tenant has at most half of a store's subscriptions.
#[test]
fn webhook_subscriptions_of_a_tenant_are_bounded() {
    let mut harness = Harness::new();
    let max = MAX_TENANT_SUBSCRIPTIONS;
    let counter = json!({ "name": "revisions", "last": 9, "open": max, "kept": { "default": max } });
    harness.put(&serde_json::from_value::<WebhookCounter>(counter).unwrap());
    let subscribe = |tenant: &str| {
        let wanted = body(&json!({ "targetUrl": "https://example.com/hook", "tenantId": tenant }));
        CreateSubscription::read(&wanted, &Rules::default(), Principal::Shared, [7; 32]).unwrap()
    };
    let error = harness.decide(&subscribe("default")).unwrap_err();
    assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(max)));
    assert!(harness.decide(&subscribe("other")).is_ok());
}
