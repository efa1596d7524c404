//! A café with one of everything that a path can name, for tests that call all routes.

use agentcafe_testkit::{Client, Value, json};

use crate::webhook_dlq::dlq_entry;

/// Ids that exist: the prefix of a path, the name of its parameter, and the id.
pub(crate) type Names = Vec<(&'static str, &'static str, String)>;

/// The id for a parameter of a route's path.
pub(crate) fn named<'a>(names: &'a Names, path: &str, name: &str) -> Option<&'a str> {
    let mut known = names.iter().filter(|(prefix, known, _)| path.starts_with(prefix) && *known == name);
    known.next().map(|(.., id)| id.as_str())
}

/// Creates one record of each kind. In the room `main`, Nova is an operator and Kai has mentioned it.
pub(crate) async fn create_one_of_everything(client: &Client) -> Names {
    let grant = json!({"roomId": "main", "actorId": "Nova", "canModerate": true});
    let _ = client.act("/v1/permissions", grant).await.data();
    let hook = json!({"targetUrl": "http://127.0.0.1:9/hook", "maxRetries": 0, "roomId": "main"});
    let webhook = id(client, "/v1/subscriptions", hook, "/subscription/id").await;
    let said = json!({"actorId": "Kai", "text": "hey @Nova", "mentions": ["Nova"], "messageId": "message-1", "correlationId": "order-4711"});
    let _ = client.act("/v1/commands/say", said).await.data();
    let entry = dlq_entry(client, 1).await.remove(0);
    let inbox = client.get("/v1/inbox?actorId=Nova").await;
    let table = json!({"actorId": "Nova", "planId": "espresso", "paymentProof": "coffee_paid"});
    let rule = json!({"targetActorId": "Kai", "actionType": "say", "actionPayload": {"text": "hi"}, "enabled": false});
    let nova = |more: Value| {
        let mut body = json!({"actorId": "Nova", "roomId": "main"});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        body
    };
    let _ = client.act("/v1/rooms", nova(json!({}))).await.data();
    for scope in ["room", "agent"] {
        let _ = client.act(&format!("/v1/snapshots/{scope}"), nova(json!({"state": {}}))).await.data();
    }
    let _ = client.act("/v1/profiles", nova(json!({"displayName": "Nova"}))).await.data();
    vec![
        ("/v1/inbox", "inboxId", text(&inbox.data()["items"][0]["inboxId"])),
        ("/v1/objects", "objectId", id(client, "/v1/objects", nova(json!({})), "/object/objectId").await),
        (
            "/v1/reactions",
            "subscriptionId",
            id(client, "/v1/reactions/subscriptions", rule, "/subscription/id").await,
        ),
        ("/v1/subscriptions", "dlqId", text(&entry["id"])),
        ("/v1/subscriptions", "subscriptionId", webhook),
        (
            "/v1/table-sessions",
            "sessionId",
            id(client, "/v1/table-sessions", table, "/session/sessionId").await,
        ),
        ("/v1/tasks", "taskId", id(client, "/v1/tasks", nova(json!({"title": "t"})), "/task/taskId").await),
    ]
}

async fn id(client: &Client, path: &str, body: Value, pointer: &str) -> String {
    let answer = client.act(path, body).await;
    text(answer.data().pointer(pointer).expect("an id"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
