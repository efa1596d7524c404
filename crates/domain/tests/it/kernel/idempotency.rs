//! The identity of idempotency keys, and the hash of their requests.

use agentcafe_domain::kernel::{Code, IdempotencyKey, MAX_KEY_BYTES, TenantId};
use serde_json::{Map, Value, json};

fn key(scope: &[&str], body: &Value) -> IdempotencyKey {
    IdempotencyKey::new(Some("k"), &TenantId::default(), scope, "POST", body.as_object().unwrap()).unwrap()
}

/// Key order and number formatting do not make another request; values do.
#[test]
fn idempotency_key_hashes_equal_requests_alike() {
    let first: Value = serde_json::from_str(r#"{"a":1,"b":{"y":[1.0,"x"],"x":null}}"#).unwrap();
    let same: Value = serde_json::from_str(r#"{"b":{"x":null,"y":[1.0,"x"]},"a":1}"#).unwrap();
    let other: Value = serde_json::from_str(r#"{"b":{"x":null,"y":[1.5,"x"]},"a":1}"#).unwrap();
    let hash = |body| key(&["s"], body).request;
    assert_eq!(hash(&first), hash(&same));
    assert_ne!(hash(&first), hash(&other));
}

/// `a:b` in `c` and `a` in `b:c` are two scopes, though they look the same.
#[test]
fn idempotency_key_scopes_do_not_collide() {
    let (one, two) = (key(&["a:b", "c"], &json!({})), key(&["a", "b:c"], &json!({})));
    assert_eq!(one.scope, two.scope);
    assert_ne!(one.identity, two.identity);
}

#[test]
fn idempotency_key_is_required_and_bounded() {
    let long = "x".repeat(MAX_KEY_BYTES + 1);
    let cases = [
        (None, Code::IdempotencyKeyRequired),
        (Some("  "), Code::IdempotencyKeyRequired),
        (Some(long.as_str()), Code::Validation),
    ];
    for (sent, want) in cases {
        let got = IdempotencyKey::new(sent, &TenantId::default(), &["s"], "POST", &Map::new());
        assert_eq!(got.map_err(|error| error.code), Err(want));
    }
}
