//! Who sees what of health, readiness and metrics; and polls whose key is revoked.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, SHARED_TOKEN, eventually, json};
use tokio::time::timeout;

use crate::launch;

/// A key's polls end within five seconds after it was revoked. The test machine may be busy.
const REVOKED: Duration = Duration::from_secs(15);

/// Strangers learn that the process is up, and nothing of plans, moderation or Redis. Probes of containers go on without a key.
#[tokio::test]
async fn health_is_whole_for_callers_who_may_observe() {
    let server = launch().with_shared_token().start().await;
    let stranger = server.client();
    let root = stranger.clone().with_token(SHARED_TOKEN);
    let service = root.make_key(json!({ "kind": "service" })).await;
    let agent = root.make_key(json!({ "kind": "agent", "actors": ["Nova"] })).await;
    let admin = root.make_key(json!({ "kind": "admin" })).await;
    let wrong = stranger.clone().with_token("wrong");
    for (client, sees_all, has_key) in [
        (&stranger, false, false),
        (&wrong, false, false),
        (&agent.client, false, true),
        (&service.client, true, true),
        (&admin.client, true, true),
        (&root, true, true),
    ] {
        let health = client.get("/healthz").await;
        assert_eq!((health.status, &health.json["ok"]), (200, &json!(true)));
        assert_eq!(health.json["storage"].is_object(), sees_all, "{}", health.text);
        assert_eq!(health.json.as_object().unwrap().len() == 1, !sees_all, "{}", health.text);
        for path in ["/livez", "/readyz"] {
            assert_eq!(client.get(path).await.status, 200, "{path}");
        }
        let status = |is_allowed| if is_allowed { 200 } else { 403 - 2 * u16::from(!has_key) };
        assert_eq!(client.get("/metrics").await.status, status(sees_all));
    }
}

/// Where no key is needed, everybody is shown everything, as before.
#[tokio::test]
async fn health_is_whole_where_no_key_is_needed() {
    let server = launch().start().await;
    assert!(server.client().get("/healthz").await.json["storage"].is_object());
    assert_eq!(server.client().get("/metrics").await.status, 200);
}

/// Both kinds of polls: one that waits ends at once with 401, and one that comes later is refused.
#[tokio::test]
async fn poll_ends_when_its_key_is_revoked() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let nova = root.make_key(json!({ "kind": "agent", "actors": ["Nova"] })).await;
    let poll = |client: Client| async move {
        client.get("/v1/events/poll?roomId=main&cursor=latest&heartbeat=true&types=order_changed&timeoutMs=30000").await
    };
    // One on each node, where there are several.
    let polls = [tokio::spawn(poll(nova.client.clone())), tokio::spawn(poll(nova.client.clone()))];
    eventually("the polls wait: they show presence first", Duration::from_secs(20), async || {
        let present = root.get("/v1/presence?roomId=main").await;
        present.text.contains("Nova").then_some(())
    })
    .await;
    let revoke = root.request(Method::DELETE, &format!("/v1/keys/{}", nova.id)).key("revoke");
    assert_eq!(revoke.send().await.status, 200);
    for poll in polls {
        let ended = timeout(REVOKED, poll).await.expect("it ends long before its timeout");
        let _ = ended.expect("the task does not panic").error(401, "ERR_FORBIDDEN");
    }
    let late = eventually("the key is refused", Duration::from_secs(10), async || {
        let answer = nova.client.get("/v1/events/poll?roomId=main").await;
        (answer.status != 200).then_some(answer)
    });
    let _ = late.await.error(401, "ERR_FORBIDDEN");
}
