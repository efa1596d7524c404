//! The end of API keys: what was set up with an expired one ends, and the last one that manages others stays.

use std::time::Duration;

use agentcafe_testkit::{Answer, Client, Method, SHARED_TOKEN, Silence, Value, eventually, fresh_key, json};
use tempfile::TempDir;
use tokio::time::{Instant, timeout_at};

use crate::export::{agentcafe, stderr};
use crate::table_fixtures::{from_now, has_passed};
use crate::websocket_client::{End, Socket};
use crate::{launch, order};

const WAIT: Duration = Duration::from_secs(30);
/// How long a key counts: long enough to open streams with it.
const LIFETIME: Duration = Duration::from_secs(8);
const PAST: &str = "2020-01-01T00:00:00.000Z";

async fn patch(client: &Client, id: &str, body: Value) -> Answer {
    client.request(Method::PATCH, &format!("/v1/keys/{id}")).key(&fresh_key()).json(&body).send().await
}

async fn revoke(client: &Client, id: &str) -> Answer {
    client.request(Method::DELETE, &format!("/v1/keys/{id}")).key(&fresh_key()).send().await
}

/// Kind: what outlives the right to it. A webhook and a rule acted on after their key had expired. Others: streams and polls,
/// which end with the key.
#[tokio::test]
async fn key_that_expires_disables_what_was_set_up_with_it() {
    let server = launch().with_shared_token().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true).start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let key = async || root.make_key(json!({"kind": "agent", "actors": ["Nova"]})).await;
    let (expiring, lasting) = (key().await, key().await);
    let paths = ["/v1/subscriptions", "/v1/reactions/subscriptions"];
    for client in [&expiring.client, &lasting.client] {
        let _ =
            client.act(paths[0], json!({"roomId": "main", "targetUrl": "http://127.0.0.1:9/"})).await.data();
        let rule = json!({"roomId": "main", "targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": "hi"}});
        let _ = client.act(paths[1], rule).await.data();
    }
    let enabled = async || {
        let mut counts = Vec::new();
        for path in paths {
            let listed = root.get(&format!("{path}?enabled=true")).await;
            counts.push(listed.data()["subscriptions"].as_array().unwrap().len());
        }
        counts
    };
    assert_eq!(enabled().await, [2, 2]);
    let _ = patch(&root, &expiring.id, json!({"expiresAt": PAST})).await.data();
    eventually("both are disabled", WAIT, async || (enabled().await == [1, 1]).then_some(())).await;
    let audit = root.get("/v1/operator/audit").await;
    let ended =
        audit.data()["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == "key_expire");
    let ended: Vec<_> = ended.map(|entry| (&entry["operatorId"], &entry["metadata"]["keyId"])).collect();
    assert_eq!(ended, [(&json!("system"), &json!(expiring.id))]);
    // It counts again, and ends again.
    let _ = patch(&root, &expiring.id, json!({"expiresAt": null})).await.data();
    let hook = json!({"roomId": "main", "targetUrl": "http://127.0.0.1:9/again"});
    let again = async || {
        let made = expiring.client.act(paths[0], hook.clone()).await;
        (made.status == 201).then_some(())
    };
    eventually("the key counts again", WAIT, again).await;
    let _ = patch(&root, &expiring.id, json!({"expiresAt": PAST})).await.data();
    eventually("it is disabled, too", WAIT, async || (enabled().await == [1, 1]).then_some(())).await;
}

/// Kind: what outlives the right to it. The streams, WebSockets and waiting polls of a key end within 10 s after it expires, although
/// nothing is changed then; those of another key go on. A poll is 401.
#[tokio::test]
async fn key_that_expires_ends_its_streams_and_polls() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let expires_at = from_now(&root, i64::try_from(LIFETIME.as_millis()).unwrap()).await;
    // The rest is for a busy test machine.
    let deadline = Instant::now() + LIFETIME + Duration::from_secs(10) + Duration::from_secs(5);
    let expiring = json!({"kind": "viewer", "rooms": ["main"], "expiresAt": expires_at});
    let (expiring, lasting) =
        (root.make_key(expiring).await, root.make_key(json!({"kind": "viewer", "rooms": ["main"]})).await);
    let headers = [("x-api-key", expiring.token.as_str())];
    let mut socket = Socket::open(server.address(), "/v1/ws", &headers).await.unwrap();
    let mut other = lasting.client.stream("/v1/events/stream").await;
    assert_eq!(other.next().await.event, "ready");
    let read_to_end = async |path: &str| {
        let mut stream = expiring.client.stream(path).await;
        let mut last = String::new();
        loop {
            match stream.next_within(WAIT).await {
                Ok(frame) => last = frame.event,
                Err(end) => return (end, last),
            }
        }
    };
    let poll = "/v1/events/poll?cursor=latest&timeoutMs=25000";
    let ended = async {
        tokio::join!(
            read_to_end("/v1/events/stream"),
            read_to_end("/v1/streams/market-events"),
            socket.end(),
            expiring.client.get(poll),
        )
    };
    let ended = timeout_at(deadline, ended).await.expect("everything ends in time");
    let (one, two, closed, polled) = ended;
    for stream in [one, two] {
        assert_eq!(stream, (Silence::Ended, "error".to_owned()));
    }
    assert_eq!(closed, End::Closed(Some(1008)));
    let _ = polled.error(401, "ERR_FORBIDDEN");
    assert!(has_passed(&root, &expires_at).await, "nothing ends before");
    let sequence = order(&root, "Nova", "main").await;
    while other.next_event().await.id != Some(sequence) {}
}

/// Kind: a request that locks everybody out. The last admin key was revoked without a word. Others: it expired at once. Rotating it
/// shows the new secret.
#[tokio::test]
async fn key_that_is_the_last_to_manage_others_is_not_ended() {
    let directory = TempDir::new().unwrap();
    let mut server = launch().data_dir(directory.path()).start().await;
    let admin = json!({"kind": "admin"});
    let first = server.client().make_key(admin.clone()).await;
    let agent = first.client.make_key(json!({"kind": "agent", "actors": ["Nova"]})).await;
    let expired = first.client.make_key(admin.clone()).await;
    let _ = patch(&first.client, &expired.id, json!({"expiresAt": PAST})).await.data();
    let assert_stays = async |client: &Client, id: &str| {
        for refused in [revoke(client, id).await, patch(client, id, json!({"expiresAt": PAST})).await] {
            assert_eq!(refused.error(409, "ERR_CONFLICT")["keyId"], id);
            assert!(refused.text.contains("agentcafe keys"), "what to do: {}", refused.text);
        }
    };
    assert_stays(&first.client, &first.id).await;
    let _ = patch(&first.client, &first.id, json!({"name": "the first"})).await.data();
    let _ = revoke(&first.client, &agent.id).await.data();

    // Of two that revoke each other at once, one stays.
    let second = first.client.make_key(admin).await;
    let (one, other) = tokio::join!(revoke(&first.client, &second.id), revoke(&second.client, &first.id));
    let done = [one, other].map(|answer| answer.status == 200);
    assert!(done[0] != done[1], "{done:?}");
    let last = if done[0] { &first } else { &second };
    assert_stays(&last.client, &last.id).await;
    assert!(server.stop().await.success());

    // The shared token manages keys, too; so does who may use the store's files.
    let mut server = launch().data_dir(directory.path()).with_shared_token().start().await;
    let _ = server.client().with_token(&last.token).make_key(json!({"kind": "viewer"})).await;
    assert!(server.stop().await.success());
    let revoked = agentcafe("keys", directory.path(), &["revoke", &last.id]).output().unwrap();
    assert!(revoked.status.success(), "{}", stderr(&revoked));
}
