//! Operators with API keys: the scope `operate`, and a permission of the actor in the room.

use agentcafe_testkit::keys::{Key, SHARED_TOKEN};
use agentcafe_testkit::{Answer, Client, Method, Server, fresh_key, json};

use crate::launch;

/// A server with open permissions, on which API keys are strict all the same.
async fn cafe() -> (Server, Client) {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    (server, root)
}

async fn operator(root: &Client, actor: &str) -> Key {
    root.make_key(json!({"scopes": ["act", "listen", "host", "work", "operate"], "actors": [actor]})).await
}

async fn grant(client: &Client, room: &str, actor: &str) -> Answer {
    client.act("/v1/permissions", json!({"roomId": room, "actorId": actor, "canModerate": true})).await
}

async fn pause(client: &Client, room: &str) -> Answer {
    client.act("/v1/operator/overrides", json!({"roomId": room, "action": "pause_room"})).await
}

/// Kind: a scope is not enough; neither is a permission.
#[tokio::test]
async fn operator_needs_the_scope_and_a_permission_in_the_room() {
    let (_server, root) = cafe().await;
    let boss = operator(&root, "Boss").await;
    let agent = root.make_key(json!({"kind": "agent", "actors": ["Boss"]})).await;
    let _ = pause(&boss.client, "lab").await.error(403, "ERR_FORBIDDEN");
    let _ = grant(&boss.client, "lab", "Boss").await.error(403, "ERR_FORBIDDEN");
    let _ = grant(&root, "lab", "Boss").await.data();
    let _ = pause(&boss.client, "lab").await.data();
    let _ = grant(&boss.client, "lab", "Kai").await.data();
    let _ = pause(&boss.client, "den").await.error(403, "ERR_FORBIDDEN");
    assert_eq!(pause(&agent.client, "lab").await.error(403, "ERR_FORBIDDEN")["scope"], "operate");
}

/// The first grant of a room is its owner's; later ones are those of operators.
#[tokio::test]
async fn operator_is_first_named_by_the_owner_of_the_room() {
    let (_server, root) = cafe().await;
    let (nova, kai) = (operator(&root, "Nova").await, operator(&root, "Kai").await);
    let _ = nova.client.act("/v1/rooms", json!({"roomId": "corner"})).await.data();
    let _ = grant(&kai.client, "corner", "Kai").await.error(403, "ERR_FORBIDDEN");
    let granted = grant(&nova.client, "corner", "Kai").await;
    assert_eq!(granted.data()["audit"]["operatorId"], "Nova");
    let _ = grant(&nova.client, "corner", "Nova").await.error(403, "ERR_FORBIDDEN");
    let _ = grant(&kai.client, "corner", "Nova").await.data();
    let admin = root.make_key(json!({"kind": "admin"})).await;
    let _ = grant(&admin.client, "attic", "Kai").await.data();
}

/// Kind: the audit trail names who did it, not whom a request named.
#[tokio::test]
async fn operator_grant_without_an_operator_is_audited_as_its_key() {
    let (_server, root) = cafe().await;
    let admin = root.make_key(json!({"kind": "admin"})).await;
    assert_eq!(grant(&admin.client, "lab", "Kai").await.data()["audit"]["operatorId"], admin.id.as_str());
    assert_eq!(grant(&root, "den", "Kai").await.data()["audit"]["operatorId"], "anonymous");
}

/// A task is changed by its creator, its assignee, and operators. Accepting a task makes an assignee.
#[tokio::test]
async fn operator_closes_the_task_of_another() {
    let (_server, root) = cafe().await;
    let (nova, boss) = (operator(&root, "Nova").await, operator(&root, "Boss").await);
    let task = nova.client.act("/v1/tasks", json!({"title": "t"})).await;
    let path = format!("/v1/tasks/{}", task.data()["task"]["taskId"].as_str().unwrap_or_default());
    let patch = async |client: &Client, body| {
        client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await
    };
    let done = json!({"state": "done"});
    let _ = patch(&boss.client, done.clone()).await.error(403, "ERR_FORBIDDEN");
    let _ = patch(&boss.client, json!({"metadata": {"seen": true}})).await.error(403, "ERR_FORBIDDEN");
    let _ = grant(&root, "main", "Boss").await.data();
    let _ = patch(&boss.client, json!({"progress": 10})).await.data();
    let kai = root.make_key(json!({"kind": "agent", "actors": ["Kai"]})).await.client;
    let _ = kai.act(&format!("{path}/handoffs"), json!({"action": "accept"})).await.data();
    let _ = patch(&kai, json!({"progress": 20})).await.data();
    let _ = patch(&boss.client, done).await.data();
}
