//! An agent that turned: its key is used for everything that is not its own.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use agentcafe_testkit::keys::SHARED_TOKEN;
use agentcafe_testkit::{Answer, Client, Method, Server, Value, fresh_key, json};

use crate::{launch, merged};

/// Stands in everything that the attackers must not see.
const SECRET: &str = "what-only-friends-know";

/// A café of the tenant `acme`, and three keys of Mallory.
struct Cafe {
    _server: Server,
    root: Client,
    nova: Client,
    /// The webhook of Nova, its rule, and the correlation id of what it said.
    webhook: String,
    rule: String,
    correlation_id: String,
    /// A task of Nova without an assignee.
    task: String,
    /// One of another tenant, an agent of this one, and one with every scope but `admin`.
    attackers: [(&'static str, Client); 3],
}

async fn in_acme(client: &Client, path: &str, body: Value) -> Answer {
    client.act(path, merged(json!({"tenantId": "acme"}), &body)).await
}

impl Cafe {
    async fn start() -> Self {
        let server = launch()
            .with_shared_token()
            .env("PERMISSIONS_MODE", "strict")
            .env("PRIVATE_TABLE_READ_GATE", "members")
            .env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true)
            .env("MOD_MAX_ACTIONS_PER_WINDOW", 30)
            .start()
            .await;
        let root = server.client().with_token(SHARED_TOKEN);
        let all = json!(["act", "listen", "inbox", "work", "remember", "react", "hook", "host", "operate"]);
        let key = async |body: Value| root.make_key(body).await.client;
        let nova = key(json!({"tenantId": "acme", "scopes": all, "actors": ["Nova"]})).await;
        let _ = in_acme(
            &root,
            "/v1/permissions",
            json!({"roomId": "ops", "actorId": "Boss", "operatorId": "Boss", "canModerate": true}),
        )
        .await
        .data();
        let said = json!({"roomId": "ops", "text": format!("{SECRET} @Kai")});
        let said = in_acme(&nova, "/v1/commands/say", said).await;
        let table = json!({"roomId": "vip", "planId": "espresso", "paymentProof": "coffee_paid"});
        let _ = in_acme(&nova, "/v1/table-sessions", table).await.data();
        let _ = in_acme(&nova, "/v1/commands/say", json!({"roomId": "vip", "text": SECRET})).await.data();
        let _ = in_acme(&nova, "/v1/snapshots/agent", json!({"roomId": "ops", "state": {"text": SECRET}}))
            .await
            .data();
        let hook =
            json!({"roomId": "ops", "targetUrl": format!("http://127.0.0.1:9/{SECRET}"), "enabled": false});
        let hook = in_acme(&nova, "/v1/subscriptions", hook).await;
        let rule = json!({"roomId": "ops", "targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": SECRET}, "enabled": false});
        let rule = in_acme(&nova, "/v1/reactions/subscriptions", rule).await;
        let task = in_acme(&nova, "/v1/tasks", json!({"roomId": "ops", "title": SECRET})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            webhook: text(&hook.data()["subscription"]["id"]),
            rule: text(&rule.data()["subscription"]["id"]),
            correlation_id: text(&said.data()["correlationId"]),
            task: text(&task.data()["task"]["taskId"]),
            attackers: [
                ("stranger", key(json!({"kind": "agent", "actors": ["Mallory"]})).await),
                ("agent", key(json!({"tenantId": "acme", "kind": "agent", "actors": ["Mallory"]})).await),
                ("all scopes", key(json!({"tenantId": "acme", "scopes": all, "actors": ["Mallory"]})).await),
            ],
            nova,
            root,
            _server: server,
        }
    }
}

/// Kind: each call names what belongs to another; it ends in 403 or 404, and tells nothing of what it did not reach.
#[tokio::test]
async fn key_of_an_agent_that_turned_reaches_nothing_of_others() {
    let cafe = Cafe::start().await;
    let (webhook, rule, trace, task) = (&cafe.webhook, &cafe.rule, &cafe.correlation_id, &cafe.task);
    let calls: Vec<(&str, &str, String, Value)> = vec![
        (
            "speak as another",
            "POST",
            "/v1/commands/say".into(),
            json!({"actorId": "Nova", "roomId": "ops", "text": "hi"}),
        ),
        ("read another's inbox", "GET", "/v1/inbox?tenantId=acme&actorId=Kai".into(), Value::Null),
        ("silence another", "POST", "/v1/inbox/ack".into(), json!({"actorId": "Kai", "upToCursor": 999_999})),
        (
            "silence another in its own name",
            "POST",
            "/v1/inbox/ack".into(),
            json!({"ackedBy": "Kai", "upToCursor": 999_999}),
        ),
        (
            "become operator as Boss",
            "POST",
            "/v1/permissions".into(),
            json!({"roomId": "ops", "operatorId": "Boss", "actorId": "Mallory", "canModerate": true}),
        ),
        (
            "become operator",
            "POST",
            "/v1/permissions".into(),
            json!({"roomId": "ops", "actorId": "Mallory", "canModerate": true}),
        ),
        (
            "become operator of a new room",
            "POST",
            "/v1/permissions".into(),
            json!({"roomId": "den", "actorId": "Mallory", "canModerate": true}),
        ),
        (
            "pause as Boss",
            "POST",
            "/v1/operator/overrides".into(),
            json!({"roomId": "ops", "operatorId": "Boss", "action": "pause_room"}),
        ),
        (
            "mute",
            "POST",
            "/v1/operator/overrides".into(),
            json!({"roomId": "ops", "action": "mute_agent", "targetActorId": "Nova"}),
        ),
        ("read overrides", "GET", "/v1/operator/overrides?tenantId=acme&roomId=ops".into(), Value::Null),
        (
            "read the audit trail",
            "GET",
            "/v1/operator/audit?tenantId=acme&roomId=ops&operatorId=Boss".into(),
            Value::Null,
        ),
        (
            "read a private table as its owner",
            "GET",
            "/v1/events?tenantId=acme&roomId=vip&viewerActorId=Nova".into(),
            Value::Null,
        ),
        ("read a private table", "GET", "/v1/events?tenantId=acme&roomId=vip".into(), Value::Null),
        (
            "replay a private table",
            "GET",
            "/v1/replay?tenantId=acme&roomId=vip&actorId=Nova".into(),
            Value::Null,
        ),
        ("begin at a private table", "GET", "/v1/bootstrap?tenantId=acme&roomId=vip".into(), Value::Null),
        ("read all rooms", "GET", "/v1/events?tenantId=acme".into(), Value::Null),
        (
            "steal a webhook",
            "PATCH",
            format!("/v1/subscriptions/{webhook}"),
            json!({"targetUrl": "http://127.0.0.1:9/mallory"}),
        ),
        ("read a webhook", "GET", format!("/v1/subscriptions/{webhook}"), Value::Null),
        (
            "put words in a mouth",
            "POST",
            "/v1/reactions/subscriptions".into(),
            json!({"roomId": "ops", "createdBy": "Nova", "targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": "hi"}}),
        ),
        (
            "put words in a mouth in its own name",
            "POST",
            "/v1/reactions/subscriptions".into(),
            json!({"roomId": "ops", "targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": "hi"}}),
        ),
        (
            "change a rule",
            "PATCH",
            format!("/v1/reactions/subscriptions/{rule}"),
            json!({"actionPayload": {"text": "hi"}}),
        ),
        (
            "poison a memory",
            "POST",
            "/v1/snapshots/agent".into(),
            json!({"actorId": "Nova", "roomId": "ops", "state": {}}),
        ),
        (
            "read a memory",
            "GET",
            "/v1/snapshots/agent?tenantId=acme&roomId=ops&actorId=Nova".into(),
            Value::Null,
        ),
        ("finish a task", "POST", format!("/v1/tasks/{task}/handoffs"), json!({"action": "done"})),
        (
            "block a task",
            "POST",
            format!("/v1/tasks/{task}/handoffs"),
            json!({"action": "blocked", "note": "no"}),
        ),
        ("rename a task", "PATCH", format!("/v1/tasks/{task}"), json!({"title": "mine"})),
        ("move a task on", "PATCH", format!("/v1/tasks/{task}"), json!({"progress": 99})),
        (
            "receive all rooms",
            "POST",
            "/v1/subscriptions".into(),
            json!({"targetUrl": "http://127.0.0.1:9/mallory"}),
        ),
        ("read a trace", "GET", format!("/v1/traces/{trace}"), Value::Null),
        (
            "take the lobby",
            "POST",
            "/v1/rooms".into(),
            json!({"roomId": "main", "roomType": "private_table", "paymentProof": "coffee_paid"}),
        ),
        (
            "buy the lobby",
            "POST",
            "/v1/table-sessions".into(),
            json!({"roomId": "main", "planId": "espresso", "paymentProof": "coffee_paid"}),
        ),
        ("act as the house", "POST", "/v1/commands/say".into(), json!({"actorId": "system", "text": "hi"})),
        ("save as the house", "POST", "/v1/snapshots/room".into(), json!({"actorId": "system", "state": {}})),
        ("make a key", "POST", "/v1/keys".into(), json!({"kind": "admin"})),
    ];
    let mut failures = Vec::new();
    for (name, attacker) in &cafe.attackers {
        for (what, method, path, body) in &calls {
            let request = attacker.request(method.parse::<Method>().unwrap(), path).key(&fresh_key());
            let answer = match body {
                Value::Null => request.send().await,
                body => request.json(&merged(json!({"tenantId": "acme"}), body)).send().await,
            };
            if ![403, 404].contains(&answer.status) || answer.text.contains(SECRET) {
                failures.push(format!("{name}: {what}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // In its own tenant it is somebody; in another it reads no room at all.
    let _ = cafe.attackers[0].1.get("/v1/events?tenantId=acme&roomId=ops").await.error(403, "ERR_FORBIDDEN");
    assert!(!cafe.attackers[1].1.get("/v1/inbox").await.text.contains(SECRET));
    let audit = cafe.root.get("/v1/operator/audit?tenantId=acme&roomId=ops&viewerActorId=Boss").await;
    let denied =
        audit.data()["entries"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "denied");
    assert!(
        denied.clone().count() > 0 && denied.clone().all(|entry| entry["operatorId"] == "Mallory"),
        "{}",
        audit.text
    );
}

/// Kind: what an attacker spends, a key of idempotency or an allowance of moderation, is its own.
#[tokio::test]
async fn key_of_an_agent_that_turned_uses_up_nothing_of_others() {
    let cafe = Cafe::start().await;
    let attacker = &cafe.attackers[1].1;
    let body = |actor: &str, text: &str| json!({"tenantId": "acme", "roomId": "ops", "actorId": actor, "text": text});
    let _ =
        attacker.post("/v1/commands/say", "known", body("Nova", "squat")).await.error(403, "ERR_FORBIDDEN");
    let _ = attacker.post("/v1/commands/say", "known", body("Mallory", "squat")).await.data();
    let said = cafe.nova.post("/v1/commands/say", "known", body("Nova", "done")).await;
    assert_eq!(said.data()["actorId"], "Nova");
    assert_eq!(said.header("x-idempotent-replay"), None, "{}", said.text);
    for _ in 0..45 {
        let step = json!({"tenantId": "acme", "roomId": "ops", "actorId": "Nova", "direction": "E"});
        let _ = attacker.act("/v1/commands/move", step).await.error(403, "ERR_FORBIDDEN");
    }
    let _ = in_acme(&cafe.nova, "/v1/commands/move", json!({"roomId": "ops", "direction": "E"})).await.data();
}

/// Kind: a correlation id is chosen by its sender, and hides nobody's trace.
#[tokio::test]
async fn key_of_an_agent_that_turned_hides_no_trace() {
    let cafe = Cafe::start().await;
    let path = format!("/v1/traces/{}", cafe.correlation_id);
    let before = cafe.nova.get(&path).await;
    let said = json!({"roomId": "ops", "text": "hi", "correlationId": cafe.correlation_id});
    let _ = in_acme(&cafe.attackers[1].1, "/v1/commands/say", said).await;
    let after = cafe.nova.get(&path).await;
    assert_eq!(after.data()["trace"], before.data()["trace"]);
}

/// Kind: an identity that is said twice. Beside a body, a parameter names the caller or nobody. Others: the tenant, which was held
/// against the key already; headers, which name nobody.
#[tokio::test]
async fn key_is_held_against_parameters_beside_a_body() {
    let server = launch().with_shared_token().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true).start().await;
    let root = server.client().lenient().with_token(SHARED_TOKEN);
    let scopes = json!(["act", "listen", "inbox", "work", "remember", "react", "hook", "host", "operate"]);
    let nova = root.make_key(json!({"scopes": scopes, "actors": ["Nova"]})).await.client;
    let both = root.make_key(json!({"scopes": scopes, "actors": ["Nova", "Kai"]})).await.client;
    let mut routes = 0;
    for (path, body) in [
        ("/v1/commands/say", json!({"text": "hi"})),
        ("/v1/commands/enter", json!({})),
        ("/v1/intents/execute", json!({"intent": "navigate_to", "x": 1, "y": 1})),
        ("/v1/conversations/messages", json!({"text": "hi"})),
        ("/v1/presence/heartbeat", json!({})),
        ("/v1/inbox/ack", json!({"upToCursor": 1})),
        ("/v1/tasks", json!({"title": "t"})),
        ("/v1/objects", json!({"title": "t"})),
        ("/v1/profiles", json!({"displayName": "Nova"})),
        ("/v1/snapshots/agent", json!({"state": {}})),
        ("/v1/subscriptions", json!({"roomId": "main", "targetUrl": "http://127.0.0.1:9/"})),
        (
            "/v1/reactions/subscriptions",
            json!({"roomId": "main", "targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": "hi"}}),
        ),
    ] {
        for field in ["actorId", "operatorId", "createdBy", "ackedBy", "viewerActorId", "ownerActorId"] {
            let beside = nova.act(&format!("{path}?{field}=Kai"), body.clone()).await;
            assert_eq!(beside.error(403, "ERR_FORBIDDEN")["field"], field, "{path}: {}", beside.text);
        }
        let own = nova.act(&format!("{path}?actorId=Nova"), body.clone()).await;
        assert!(own.status < 300, "{path}: {}", own.text);
        let body = merged(body, &json!({"actorId": "Nova"}));
        let differing = both.act(&format!("{path}?actorId=Kai"), body).await;
        assert_eq!(differing.error(403, "ERR_FORBIDDEN")["allowed"], json!(["Nova"]), "{path}");
        routes += 1;
    }
    assert_eq!(routes, 12);
    let deleted =
        nova.request(Method::DELETE, "/v1/profiles/Nova?actorId=Kai").key(&fresh_key()).send().await;
    assert_eq!(deleted.error(403, "ERR_FORBIDDEN")["field"], "actorId");
    // With the shared token, parameters that are not read are ignored, as in the first version.
    let shared = root.act("/v1/commands/say?actorId=Kai", json!({"actorId": "Nova", "text": "hi"})).await;
    assert_eq!(shared.data()["actorId"], "Nova");
}
