//! Idempotency keys of callers with API keys: each caller has its own.

use agentcafe_testkit::{Answer, Client, Method, SHARED_TOKEN, Value, json};

use crate::launch;

const KEY: &str = "the-same-key";
const HEADER: &str = "x-idempotent-replay";

async fn send(client: &Client, (method, path, body): &(Method, String, Value)) -> Answer {
    client.request(method.clone(), path).key(KEY).json(body).send().await
}

/// The identity of an idempotency key includes the caller, whatever the operation: with one key and the same body the second caller
/// gets an answer of its own, never the replay of the first one's. Kind: a value that one caller picks reaches what is another's.
#[tokio::test]
async fn idempotency_key_of_one_caller_replays_nothing_for_another() {
    let server = launch().with_shared_token().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true).start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let scopes = json!(["act", "listen", "inbox", "work", "remember", "react", "hook", "host", "operate"]);
    let key = async |actor: &str| {
        let grant = json!({"roomId": "main", "actorId": actor, "canModerate": true});
        let _ = root.act("/v1/permissions", grant).await.data();
        root.make_key(json!({"scopes": scopes, "actors": [actor]})).await.client
    };
    let (nova, kai) = (key("Nova").await, key("Kai").await);
    let object = nova.act("/v1/objects", json!({"roomId": "main"})).await;
    let object = object.data()["object"]["objectId"].as_str().expect("an id").to_owned();
    let rule = json!({"roomId": "main", "targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": "hi"}, "enabled": false});
    let hook = json!({"roomId": "main", "targetUrl": "http://127.0.0.1:9/", "enabled": false});
    for (path, body) in [
        ("/v1/rooms", json!({"roomId": "lab", "displayName": "Lab"})),
        ("/v1/subscriptions", hook),
        ("/v1/reactions/subscriptions", rule),
        ("/v1/rooms/context/pin", json!({"roomId": "main", "content": "be kind"})),
        ("/v1/operator/overrides", json!({"roomId": "main", "action": "resume_room"})),
        ("/v1/permissions", json!({"roomId": "main", "actorId": "Mira", "canSpeak": true})),
        ("/v1/tasks", json!({"roomId": "main", "title": "tea"})),
        ("/v1/objects", json!({"roomId": "main"})),
        (&*format!("/v1/objects/{object}"), json!({"content": "tea"})),
        ("/v1/snapshots/room", json!({"roomId": "main", "state": {}})),
        ("/v1/commands/say", json!({"roomId": "main", "text": "hey"})),
        ("/v1/tickets", json!({"path": "/v1/events/stream", "query": {}})),
    ] {
        let method = if path.ends_with(&object) { Method::PATCH } else { Method::POST };
        let request = (method, path.to_owned(), body);
        let first = send(&nova, &request).await;
        assert!(first.status < 300 && first.header(HEADER).is_none(), "{path}: {}", first.text);
        let second = send(&kai, &request).await;
        assert_eq!(second.header(HEADER), None, "{path}: {}", second.text);
        // A room is its owner's.
        let want = if path == "/v1/rooms" { 403 } else { first.status };
        assert_eq!(second.status, want, "{path}: {}", second.text);
        assert_ne!(second.text, first.text, "{path}");
        let again = send(&nova, &request).await;
        assert_eq!(again.header(HEADER), Some("true"), "{path}: {}", again.text);
        let correlation_id = |answer: &Answer| answer.json["data"]["correlationId"].clone();
        assert_eq!(correlation_id(&again), correlation_id(&first), "{path}");
    }
}
