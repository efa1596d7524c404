//! Names of actors: those of the server are nobody's, and no two of a tenant look alike.

use agentcafe_testkit::keys::SHARED_TOKEN;
use agentcafe_testkit::{Answer, Client, json};

use crate::{cafe, launch, say};

/// Each looks like "Kai": a Cyrillic a, a Cyrillic K, a Greek K, full width, mathematical letters.
const LOOKALIKES: [&str; 5] =
    ["K\u{430}i", "\u{41a}ai", "\u{39a}ai", "\u{ff2b}\u{ff41}\u{ff49}", "\u{1d40a}\u{1d41a}\u{1d422}"];

fn assert_looks_like(answer: &Answer, field: &str, other: &str) {
    let details = answer.error(400, "ERR_VALIDATION");
    assert_eq!((&details["field"], &details["looksLike"]), (&json!(field), &json!(other)), "{}", answer.text);
}

async fn enter(client: &Client, actor: &str, tenant: &str) -> Answer {
    client.act("/v1/commands/enter", json!({"actorId": actor, "tenantId": tenant})).await
}

/// Kind: an actor that prints like another one. Who was there before stays.
#[tokio::test]
async fn actor_name_that_looks_like_another_is_refused() {
    let (_server, client) = cafe().await;
    let _ = enter(&client, "Kai", "acme").await.data();
    for lookalike in LOOKALIKES {
        assert_looks_like(&enter(&client, lookalike, "acme").await, "actorId", "Kai");
        let left = json!({"actorId": lookalike, "tenantId": "acme"});
        assert_looks_like(&client.act("/v1/commands/leave", left.clone()).await, "actorId", "Kai");
        assert_looks_like(&client.act("/v1/presence/heartbeat", left).await, "actorId", "Kai");
        let profile = json!({"actorId": lookalike, "tenantId": "acme", "displayName": "Kai"});
        assert_looks_like(&client.act("/v1/profiles", profile).await, "actorId", "Kai");
    }
    for known in ["Kai", "kai", "Kia"] {
        let _ = enter(&client, known, "acme").await.data();
    }
    let _ = client
        .act("/v1/commands/enter", json!({"actorId": "Kai", "tenantId": "acme", "roomId": "lab"}))
        .await
        .data();
    let _ = enter(&client, LOOKALIKES[0], "rival").await.data();
    assert_looks_like(&enter(&client, "Kai", "rival").await, "actorId", LOOKALIKES[0]);
}

/// Of many that come at once, on every node, one is let in.
#[tokio::test]
async fn actor_names_that_look_alike_are_let_in_once() {
    let (_server, client) = cafe().await;
    let all = LOOKALIKES.into_iter().chain(["Kai"]);
    let entered: Vec<_> = all
        .map(|name| {
            let client = client.clone();
            tokio::spawn(async move { enter(&client, name, "acme").await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for status in entered {
        statuses.push(status.await.expect("an answer"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 400, 400, 400, 400, 400]);
}

/// The names in a key are taken, whether their actors have come yet or not.
#[tokio::test]
async fn actor_name_of_a_key_is_taken() {
    let server = launch().with_shared_token().start().await;
    let root = server.client().with_token(SHARED_TOKEN);
    let key = json!({"kind": "agent", "tenantId": "acme", "actors": ["Kai"]});
    let _ = root.make_key(key.clone()).await;
    let _ = root.make_key(key).await;
    let lookalike = json!({"kind": "agent", "tenantId": "acme", "actors": ["Nova", LOOKALIKES[0]]});
    assert_looks_like(&root.act("/v1/keys", lookalike).await, "actors", "Kai");
    assert_looks_like(&enter(&root, LOOKALIKES[0], "acme").await, "actorId", "Kai");
    let reserved = root.act("/v1/keys", json!({"kind": "agent", "actors": ["system"]})).await;
    assert_eq!(reserved.error(403, "ERR_FORBIDDEN")["field"], "actors");
}

/// A grant to a name that looks like that of another actor would be taken for one to that actor.
#[tokio::test]
async fn actor_name_that_looks_like_another_is_granted_nothing() {
    let (_server, client) = cafe().await;
    let _ = enter(&client, "Kai", "acme").await.data();
    let grant = async |actor: &str| {
        let body = json!({"tenantId": "acme", "roomId": "main", "actorId": actor, "canModerate": true});
        client.act("/v1/permissions", body).await
    };
    assert_looks_like(&grant(LOOKALIKES[0]).await, "actorId", "Kai");
    let _ = grant("Kai").await.data();
    let _ = grant("Nova").await.data();
    assert_looks_like(&enter(&client, "N\u{43e}va", "acme").await, "actorId", "Nova");
}

/// Kind: who acts as the house. What the first version lets a client say of itself, it still may.
#[tokio::test]
async fn actor_names_of_the_server_are_reserved() {
    let (_server, client) = cafe().await;
    for name in ["system", "operator", "agentcafe"] {
        let refused = say(&client, name, "hi").await;
        assert_eq!(
            refused.error(403, "ERR_FORBIDDEN")["reserved"],
            json!(["system", "operator", "agentcafe"])
        );
        for (path, body) in [
            ("/v1/commands/enter", json!({"actorId": name})),
            ("/v1/presence/heartbeat", json!({"actorId": name})),
            ("/v1/profiles", json!({"actorId": name, "displayName": "x"})),
            ("/v1/tasks", json!({"actorId": name, "title": "t"})),
            ("/v1/snapshots/agent", json!({"actorId": name, "state": {}})),
            (
                "/v1/permissions",
                json!({"roomId": "main", "actorId": "Kai", "operatorId": name, "canSpeak": true}),
            ),
        ] {
            let _ = client.act(path, body).await.error(403, "ERR_FORBIDDEN");
        }
        let poll = format!("/v1/events/poll?tenantId=default&roomId=main&timeoutMs=0&actorId={name}");
        let _ = client.get(&poll).await.error(403, "ERR_FORBIDDEN");
    }
    assert_looks_like(&say(&client, "\u{455}ystem", "hi").await, "actorId", "system");
    for body in [json!({"state": {}}), json!({"actorId": "system", "state": {}})] {
        let _ = client.act("/v1/snapshots/room", body).await.data();
    }
}
