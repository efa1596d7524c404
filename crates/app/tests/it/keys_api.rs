//! `/v1/keys`: what a body may say of a key.

use std::time::Duration;

use agentcafe_testkit::{Method, SHARED_TOKEN, Value, eventually, fresh_key, json};

use crate::{launch, merged};

/// Kind: a member that is dropped in silence. What the body asks for is done, or refused.
#[tokio::test]
async fn key_bodies_are_done_or_refused() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let past = "2020-01-01T00:00:00.000Z";
    for (over, code, field) in [
        (json!({"scopes": ["listen"]}), "ERR_VALIDATION", "scopes"),
        (json!({"expiresAt": past}), "ERR_OUT_OF_BOUNDS", "expiresAt"),
    ] {
        let made = root.act("/v1/keys", merged(json!({"kind": "viewer"}), &over)).await;
        assert_eq!(made.error(400, code)["field"], field, "{}", made.text);
    }
    let key = root.make_key(json!({"kind": "viewer"})).await;
    let patch = async |body: Value| {
        let path = format!("/v1/keys/{}", key.id);
        root.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await
    };
    for field in ["kind", "scopes", "tenantId", "actors", "rooms"] {
        let changed = patch(json!({"name": "a name", field: "listen"})).await;
        assert_eq!(changed.error(400, "ERR_VALIDATION")["field"], field, "{}", changed.text);
    }
    let _ = patch(json!({})).await.error(400, "ERR_VALIDATION");
    let changed = patch(json!({"name": "a name", "expiresAt": null})).await;
    let shown = &changed.data()["key"];
    assert_eq!((&shown["name"], &shown["scopes"]), (&json!("a name"), &json!(["listen"])));
    assert!(shown["expiresAt"].is_null());
    let _ = key.client.get("/v1/presence").await.data();
    let _ = patch(json!({"expiresAt": past})).await.data();
    // Another node may have it in memory for a moment.
    let is_refused = async || (key.client.get("/v1/presence").await.status == 401).then_some(());
    eventually("the key is refused", Duration::from_secs(10), is_refused).await;
}
