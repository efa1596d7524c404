//! Owners: what was made with an API key exists for its actor, for admins of the tenant and for holders of the shared token. For
//! everybody else it is as if it were not there.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::time::Duration;

use agentcafe_testkit::{
    Answer, Client, Key, Launch, Method, Reaction, Receiver, SHARED_TOKEN, Server, Value, eventually,
    fresh_key, json,
};

use crate::reaction_engine::{rule, wait_until_processed};
use crate::stored_tables::{StoredTable, store_tables};
use crate::webhook_delivery::{assert_signed, deliveries, message_subscription, message_texts, recorded};
use crate::webhook_dlq::{dlq, dlq_entry, replay_path};
use crate::webhook_subscriptions::{change, delete, listed, subscribe};
use crate::{UNKNOWN_ID, launch, log, merged, say};

const HOOKS: &str = "/v1/subscriptions";
const RULES: &str = "/v1/reactions/subscriptions";
/// The scopes of an agent, and that of webhooks of all rooms.
const SCOPES: [&str; 8] = ["act", "listen", "inbox", "work", "remember", "react", "hook", "follow"];
const DEADLINE: Duration = Duration::from_secs(60);

/// A server, and who calls it: Nova and Kai are agents of the tenant `default`, the rival is Nova of the tenant `acme`.
struct Cafe {
    root: Client,
    nova: Key,
    kai: Client,
    rival: Client,
    admin: Client,
    _server: Server,
}

fn with_keys() -> Launch {
    launch().with_shared_token().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true)
}

impl Cafe {
    async fn start() -> Self {
        Self::of(with_keys().start().await).await
    }

    async fn of(server: Server) -> Self {
        let root = server.client().with_token(SHARED_TOKEN);
        let agent =
            |tenant: &str, actor: &str| json!({"scopes": SCOPES, "tenantId": tenant, "actors": [actor]});
        Self {
            nova: root.make_key(agent("default", "Nova")).await,
            kai: root.make_key(agent("default", "Kai")).await.client,
            rival: root.make_key(agent("acme", "Nova")).await.client,
            admin: root.make_key(json!({"kind": "admin"})).await.client,
            root,
            _server: server,
        }
    }

    /// A key of the agent Nova with these members instead of the usual ones.
    async fn nova_with(&self, over: Value) -> Client {
        let body = merged(json!({"scopes": SCOPES, "actors": ["Nova"]}), &over);
        self.root.make_key(body).await.client
    }

    /// Those for whom nothing of Nova's in `default` exists.
    fn others(&self) -> [&Client; 2] {
        [&self.kai, &self.rival]
    }

    /// Those for whom it exists without being theirs.
    fn managers(&self) -> [&Client; 2] {
        [&self.admin, &self.root]
    }
}

async fn send(client: &Client, method: Method, path: &str, body: Value) -> Answer {
    client.clone().lenient().request(method, path).key(&fresh_key()).json(&body).send().await
}

/// Checks that a request about `id` is answered as one about an id that was never given.
async fn assert_hidden(client: &Client, method: Method, path: &str, id: &str) {
    let at = |id: &str| path.replace("{id}", id);
    let (hidden, unknown) = (
        send(client, method.clone(), &at(id), json!({"enabled": false})).await,
        send(client, method.clone(), &at(UNKNOWN_ID), json!({"enabled": false})).await,
    );
    let _ = hidden.error(404, "ERR_NOT_FOUND");
    let shape = |answer: &Answer, id: &str| {
        let mut error = answer.json["error"].clone();
        error["requestId"].take();
        error["details"]["correlationId"].take();
        error.to_string().replace(id, "{id}")
    };
    assert_eq!(shape(&hidden, id), shape(&unknown, UNKNOWN_ID), "{method} {path}");
}

fn id_of(record: &Value) -> &str {
    record["id"].as_str().expect("an id")
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(id_of).collect()
}

/// Kind: an agent that turned takes over what another one made. It could change the target of another's webhook and receive
/// deliveries that are signed with the secret of the other.
#[tokio::test]
async fn webhook_subscription_exists_for_its_owner_and_managers() {
    let cafe = Cafe::start().await;
    let made = subscribe(&cafe.nova.client, json!({"targetUrl": "http://127.0.0.1:9/s3cret?key=1"})).await;
    assert_eq!(made["owner"], "actor:Nova");
    let path = format!("{HOOKS}/{{id}}");
    for other in cafe.others() {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            assert_hidden(other, method, &path, id_of(&made)).await;
        }
        assert!(listed(other, "").await.is_empty());
        let named =
            change(other, &made, json!({"tenantId": "default", "targetUrl": "http://127.0.0.1:9/"})).await;
        assert!([403, 404].contains(&named.status), "{}", named.text);
    }
    let again = cafe.nova_with(json!({})).await;
    for client in cafe.managers().into_iter().chain([&cafe.nova.client, &again]) {
        let shown = client.get(&format!("{HOOKS}/{}", id_of(&made))).await.data()["subscription"].clone();
        assert_eq!(shown["targetUrl"], "http://127.0.0.1:9/s3cret?key=***");
        assert_eq!(ids(&listed(client, "?tenantId=default").await), [id_of(&made)]);
        let _ = change(client, &made, json!({"maxRetries": 1})).await.data();
    }
    let _ = delete(&again, &made).await.data();
    assert!(listed(&cafe.root, "").await.is_empty());
}

/// A page holds only own records, as many as its limit says, and its cursor goes on behind them.
#[tokio::test]
async fn webhook_and_rule_lists_page_over_own_records() {
    let cafe = Cafe::start().await;
    let makers = [("Nova", &cafe.nova.client), ("Kai", &cafe.kai), ("Nova", &cafe.root)];
    let mut own = Vec::new();
    for round in 0..5 {
        let types = if round % 2 == 0 { "order_changed" } else { "task_created" };
        for (at, (actor, client)) in makers.into_iter().enumerate() {
            let body =
                json!({"targetUrl": "http://127.0.0.1:9/", "enabled": round < 3, "eventTypes": [types]});
            let made = id_of(&subscribe(client, body).await).to_owned();
            let over = json!({"targetActorId": actor, "enabled": round < 3, "triggerEventTypes": [types]});
            let rule = rule(client, over).await;
            own.extend((at == 0).then_some([made, rule]));
        }
    }
    own.reverse();
    for (kind, path) in [(0, HOOKS), (1, RULES)] {
        let own: Vec<&str> = own.iter().map(|made| made[kind].as_str()).collect();
        let (mut found, mut sizes, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = cafe.nova.client.get(&format!("{path}?limit=2{cursor}")).await.data().clone();
            let records = page["subscriptions"].as_array().unwrap();
            sizes.push(records.len());
            found.extend(records.iter().map(|one| id_of(one).to_owned()));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>(), sizes),
            (own.clone(), vec![2, 2, 1]),
            "{path}"
        );
        for (query, want) in [("?enabled=true", &own[2..]), ("?enabled=false", &own[..2])] {
            assert_eq!(
                ids(&records(&cafe.nova.client, &format!("{path}{query}")).await),
                want,
                "{path}{query}"
            );
        }
        let typed = records(&cafe.nova.client, &format!("{path}?eventType=task_created")).await;
        assert_eq!(ids(&typed), [own[1], own[3]], "{path}");
        assert_eq!(records(&cafe.admin, path).await.len(), 15, "{path}");
    }
}

async fn records(client: &Client, path: &str) -> Vec<Value> {
    client.get(path).await.data()["subscriptions"].as_array().unwrap().clone()
}

/// Deliveries and dead letters hold whole events: they belong to whom the subscription belongs, and to the rooms of its keys.
#[tokio::test]
async fn webhook_deliveries_and_dlq_belong_to_the_owner() {
    let cafe = Cafe::start().await;
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reaction::status(500));
    let body = merged(message_subscription(receiver.url("/hook")), &json!({"maxRetries": 0}));
    let made = subscribe(&cafe.nova.client, body).await;
    let there = json!({"roomId": "lab", "text": "in the lab"});
    let _ = cafe.nova.client.act("/v1/commands/say", there).await.data();
    let entry = dlq_entry(&cafe.nova.client, 1).await.remove(0);
    assert_eq!((&entry["owner"], &entry["subscriptionId"]), (&json!("actor:Nova"), &made["id"]));
    let in_main = cafe.nova_with(json!({"rooms": ["main"]})).await;
    for other in cafe.others().into_iter().chain([&in_main]) {
        assert!(dlq(other, "").await.is_empty());
        let by_id = format!("?subscriptionId={}", id_of(&made));
        assert!(deliveries(other, &by_id).await.is_empty());
        assert_hidden(other, Method::POST, "/v1/subscriptions/dlq/{id}/replay", id_of(&entry)).await;
    }
    assert_eq!(receiver.received("/hook").len(), 1, "nothing is sent for others");
    let in_lab = cafe.nova_with(json!({"rooms": ["lab"]})).await;
    for client in cafe.managers().into_iter().chain([&cafe.nova.client, &in_lab]) {
        assert_eq!(ids(&dlq(client, "?status=open").await), [id_of(&entry)]);
        assert_eq!(recorded(client, "?success=false", 1).await[0]["owner"], "actor:Nova");
        let replayed = client.act(&replay_path(&entry), json!({})).await;
        assert_eq!(replayed.status, 202, "{}", replayed.text);
    }
}

/// Kind: deliveries that are signed for one receiver reach another. With an API key another target means another secret, which
/// the answer shows once.
#[tokio::test]
async fn webhook_target_change_rotates_the_secret() {
    let cafe = Cafe::start().await;
    let receiver = Receiver::start().await;
    let made = subscribe(&cafe.nova.client, message_subscription(receiver.url("/one"))).await;
    let moved = json!({"targetUrl": receiver.url("/two")});
    let path = format!("{HOOKS}/{}", id_of(&made));
    let again = async || {
        let request = cafe.nova.client.request(Method::PATCH, &path).key("the key").json(&moved);
        request.send().await.data()["subscription"].clone()
    };
    let changed = again().await;
    let secret = changed["secret"].as_str().unwrap().to_owned();
    assert_ne!(changed["secret"], made["secret"]);
    assert!(again().await.get("secret").is_none(), "a replay does not show it");
    let _ = say(&cafe.nova.client, "Nova", "hello").await.data();
    assert_signed(&receiver.wait("/two", 1).await[0], &secret);

    let same = change(&cafe.nova.client, &made, merged(moved.clone(), &json!({"maxRetries": 1}))).await;
    assert!(same.data()["subscription"].get("secret").is_none(), "the target stays as it is");
    let shared = change(&cafe.root, &made, json!({"targetUrl": receiver.url("/three")})).await;
    assert!(shared.data()["subscription"].get("secret").is_none(), "with the shared token nothing rotates");
    let _ = say(&cafe.nova.client, "Nova", "hello again").await.data();
    assert_signed(&receiver.wait("/three", 1).await[0], &secret);
}

/// Kind: a webhook as a way around what a key may read. It never gets events of other tenants, of other rooms, or of private
/// tables to which the key's own actor has no access, whatever its filter says.
#[tokio::test]
async fn webhook_gets_events_that_its_key_may_read() {
    let directory = tempfile::tempdir().unwrap();
    let features = vec!["event_subscriptions", "basic_thread_chat"];
    let attic =
        StoredTable { room: "attic", features, guests: &[], open_for_ms: 86_400_000, is_paused: false };
    store_tables(directory.path(), vec![attic]).await;
    let cafe = Cafe::of(with_keys().data_dir(directory.path()).start().await).await;
    let receiver = Receiver::start().await;
    let in_lab = cafe.nova_with(json!({"rooms": ["lab"]})).await;
    let in_two = cafe.nova_with(json!({"rooms": ["lab", "bar"]})).await;
    let hook = |path: &str, over: Value| merged(message_subscription(receiver.url(path)), &over);

    let nowhere = in_two.act(HOOKS, hook("/none", json!({}))).await;
    assert_eq!(nowhere.error(403, "ERR_FORBIDDEN")["field"], "roomId");
    let elsewhere = in_lab.act(HOOKS, hook("/none", json!({"roomId": "main"}))).await;
    assert_eq!(elsewhere.error(403, "ERR_FORBIDDEN")["field"], "roomId");
    let foreign = cafe.kai.act(HOOKS, hook("/none", json!({"tenantId": "acme"}))).await;
    assert_eq!(foreign.error(403, "ERR_FORBIDDEN")["field"], "tenantId");
    let private = cafe.kai.act(HOOKS, hook("/none", json!({"roomId": "attic", "actorId": "Nova"}))).await;
    let _ = private.error(403, "ERR_FORBIDDEN");

    subscribe(&in_lab, hook("/lab", json!({}))).await;
    subscribe(&cafe.nova.client, hook("/nova", json!({}))).await;
    subscribe(&cafe.kai, hook("/kai", json!({"actorId": "Nova"}))).await;
    let moved = subscribe(&in_lab, hook("/moved", json!({}))).await;
    let _ = change(&in_lab, &moved, json!({"roomId": "main"})).await.error(403, "ERR_FORBIDDEN");
    for (client, room, text) in [
        (&cafe.nova.client, "main", "main"),
        (&cafe.nova.client, "attic", "attic"),
        (&cafe.rival, "lab", "rival"),
        (&cafe.nova.client, "lab", "lab"),
        (&cafe.nova.client, "main", "end"),
    ] {
        let _ = client.act("/v1/commands/say", json!({"roomId": room, "text": text})).await.data();
    }
    for (path, want) in [
        ("/nova", &["main", "attic", "lab", "end"][..]),
        ("/kai", &["main", "lab", "end"]),
        ("/lab", &["lab"]),
        ("/moved", &["lab"]),
    ] {
        assert_eq!(message_texts(&receiver.wait(path, want.len()).await), want, "{path}");
    }
    assert!(receiver.received("/none").is_empty());
}

/// Kind: what goes on when its maker may do nothing any more. Revoking a key disables the webhooks and the rules that were made
/// or last changed with it, and no others of the actor. Another key of the actor is the same owner, and may enable them again.
#[tokio::test]
async fn revoked_key_ends_its_webhooks_and_rules() {
    let cafe = Cafe::start().await;
    let receiver = Receiver::start().await;
    let next = cafe.nova_with(json!({})).await;
    let hook = |path: &str| message_subscription(receiver.url(path));
    let answer = |text: &str| json!({"targetActorId": "Nova", "sourceActorId": "Kai", "actionType": "say", "actionPayload": {"text": text}});
    let made = subscribe(&cafe.nova.client, hook("/revoked")).await;
    let changed = subscribe(&cafe.nova.client, hook("/changed")).await;
    let _ = change(&next, &changed, json!({"metadata": {"by": "the next key"}})).await.data();
    let of_key = rule(&cafe.nova.client, answer("of the key")).await;
    let of_next = rule(&next, answer("of the next")).await;
    let revoke = async || {
        send(&cafe.root, Method::DELETE, &format!("/v1/keys/{}", cafe.nova.id), json!({}))
            .await
            .data()
            .clone()
    };
    let _ = revoke().await;
    // Another node may have it in memory for a moment.
    let is_refused = async || (cafe.nova.client.get(HOOKS).await.status == 401).then_some(());
    eventually("the key is refused", DEADLINE, is_refused).await;
    let _ = say(&cafe.kai, "Kai", "hello").await.data();
    wait_until_processed(&cafe.root).await;
    assert_eq!(message_texts(&receiver.wait("/changed", 2).await), ["hello", "of the next"]);
    assert!(receiver.received("/revoked").is_empty());
    let enabled = async |path: &str| records(&next, &format!("{path}?enabled=true")).await.len();
    assert_eq!((enabled(HOOKS).await, enabled(RULES).await), (1, 1));

    let _ = change(&next, &made, json!({"enabled": true})).await.data();
    let _ = send(&next, Method::PATCH, &format!("{RULES}/{of_key}"), json!({"enabled": true})).await.data();
    let _ = revoke().await;
    assert_eq!((enabled(HOOKS).await, enabled(RULES).await), (2, 2), "they are of the next key now");
    let events = log(&cafe.root).await;
    let reaction = events.iter().find(|event| event["payload"]["reaction"].is_object()).unwrap();
    assert_eq!(reaction["payload"]["reaction"]["sourceSubscriptionId"], of_next);
    assert_eq!(reaction["by"]["verified"], true, "{reaction}");
}

/// Kind: one who fills what all share. Each owner has its own limit.
#[tokio::test]
async fn webhooks_and_rules_of_an_owner_are_bounded() {
    let cafe = Cafe::start().await;
    let hook = json!({"targetUrl": "http://127.0.0.1:9/", "enabled": false});
    let rule = |actor: &str| json!({"targetActorId": actor, "actionType": "say", "actionPayload": {"text": "hi"}, "enabled": false});
    for (path, max, nova, kai) in [(HOOKS, 50, hook.clone(), hook), (RULES, 20, rule("Nova"), rule("Kai"))] {
        for _ in 0..max {
            let _ = cafe.nova.client.act(path, nova.clone()).await.data();
        }
        let again = cafe.nova_with(json!({})).await;
        for client in [&cafe.nova.client, &again] {
            let details = client.act(path, nova.clone()).await.error(400, "ERR_OUT_OF_BOUNDS").clone();
            assert_eq!(
                (&details["max"], &details["field"]),
                (&json!(max), &json!("subscriptions")),
                "{path}"
            );
        }
        let _ = cafe.kai.act(path, kai).await.data();
        let _ = cafe.root.act(path, nova).await.data();
    }
}

/// Kind: words in another's mouth. A rule is made, changed and seen by its owner, and acts as its owner.
#[tokio::test]
async fn reaction_exists_for_its_owner_and_managers() {
    let cafe = Cafe::start().await;
    let own = rule(&cafe.nova.client, json!({"targetActorId": "Nova"})).await;
    let path = format!("{RULES}/{{id}}");
    for other in cafe.others() {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            assert_hidden(other, method, &path, &own).await;
        }
        assert!(records(other, RULES).await.is_empty());
    }
    for client in cafe.managers().into_iter().chain([&cafe.nova.client]) {
        let shown = client.get(&format!("{RULES}/{own}")).await.data()["subscription"].clone();
        assert_eq!((&shown["owner"], &shown["createdBy"]), (&json!("actor:Nova"), &json!("Nova")));
        let _ = send(client, Method::PATCH, &format!("{RULES}/{own}"), json!({"cooldownMs": 1})).await.data();
    }
    let body =
        json!({"targetActorId": "Nova", "actionType": "say", "actionPayload": {"text": "I am a fool"}});
    for (over, detail, want) in [
        (json!({}), "scope", "operate"),
        (json!({"targetActorId": "Kai", "createdBy": "Nova"}), "field", "createdBy"),
    ] {
        let refused = cafe.kai.act(RULES, merged(body.clone(), &over)).await;
        assert_eq!(refused.error(403, "ERR_FORBIDDEN")[detail], want, "{over}");
    }
    let kais = rule(&cafe.kai, json!({"targetActorId": "Kai", "enabled": false})).await;
    let stolen =
        send(&cafe.kai, Method::PATCH, &format!("{RULES}/{kais}"), json!({"targetActorId": "Nova"})).await;
    assert_eq!(stolen.error(403, "ERR_FORBIDDEN")["scope"], "operate");
    let claimed = send(&cafe.kai, Method::DELETE, &format!("{RULES}/{kais}?actorId=Nova"), json!({})).await;
    assert_eq!(claimed.error(403, "ERR_FORBIDDEN")["field"], "actorId");
    let _ = send(&cafe.kai, Method::DELETE, &format!("{RULES}/{kais}"), json!({})).await.data();
}

/// A rule for every room of its tenant reacts in none of another tenant; one of a key of some rooms only there.
#[tokio::test]
async fn reaction_answers_events_that_its_key_may_read() {
    let cafe = Cafe::start().await;
    let in_lab = cafe.nova_with(json!({"rooms": ["lab"]})).await;
    let reply = |text: &str| json!({"targetActorId": "Nova", "actionPayload": {"text": text}});
    rule(&cafe.nova.client, reply("everywhere")).await;
    rule(&in_lab, reply("in the lab")).await;
    let elsewhere = merged(reply("elsewhere"), &json!({"roomId": "main", "actionType": "say"}));
    assert_eq!(in_lab.act(RULES, elsewhere).await.error(403, "ERR_FORBIDDEN")["field"], "roomId");
    let tenant = json!({"tenantId": "acme", "actorId": "Mira", "text": "hi"});
    for body in [
        tenant,
        json!({"actorId": "Kai", "text": "hi"}),
        json!({"actorId": "Kai", "roomId": "lab", "text": "hi"}),
    ] {
        let _ = cafe.root.act("/v1/commands/say", body).await.data();
    }
    wait_until_processed(&cafe.root).await;
    let text = |event: &Value| event["payload"]["conversation"]["text"].as_str().map(str::to_owned);
    let is_reply = |event: &&Value| event["actorId"] == "Nova" && text(event).is_some();
    let events = log(&cafe.root).await;
    let mut replies: Vec<_> = events
        .iter()
        .filter(is_reply)
        .map(|event| {
            format!("{} {}: {}", event["tenantId"], event["roomId"], text(event).unwrap()).replace('"', "")
        })
        .collect();
    replies.sort();
    assert_eq!(replies, ["default lab: everywhere", "default lab: in the lab", "default main: everywhere"]);
}

/// Kind: what another did, learned from its trace. Whoever uses a correlation id finds only its own requests under it.
#[tokio::test]
async fn trace_has_only_own_requests() {
    let cafe = Cafe::start().await;
    let order = |item: &str| json!({"itemId": item, "correlationId": "order-4711"});
    let _ = cafe.nova.client.act("/v1/commands/order", order("tea")).await.data();
    let path = "/v1/traces/order-4711";
    for other in cafe.others() {
        assert_hidden(other, Method::GET, "/v1/traces/{id}", "order-4711").await;
    }
    let _ = cafe.kai.act("/v1/commands/order", order("")).await.error(400, "ERR_MISSING_FIELD");
    let again = cafe.nova_with(json!({})).await;
    for (client, actor, steps) in [
        (&cafe.nova.client, "Nova", 4),
        (&again, "Nova", 4),
        (&cafe.kai, "Kai", 3),
        (&cafe.admin, "Kai", 7),
        (&cafe.root, "Kai", 7),
    ] {
        let trace = eventually("the trace is complete", DEADLINE, async || {
            let trace = client.get(path).await.json["data"]["trace"].clone();
            (trace["steps"].as_array()?.len() == steps).then_some(trace)
        });
        assert_eq!(trace.await["actorId"], actor);
    }
}

/// Kind: a poisoned memory. The snapshots of an agent are read and saved by itself, and by admins.
#[tokio::test]
async fn agent_snapshot_belongs_to_its_actor() {
    let cafe = Cafe::start().await;
    let save = json!({"state": {"mood": "calm"}});
    let _ = cafe.nova.client.act("/v1/snapshots/agent", save.clone()).await.data();
    let imposed = merged(save, &json!({"actorId": "Nova", "state": {"mood": "angry"}}));
    let path = "/v1/snapshots/agent?actorId=Nova";
    let read = cafe.kai.get(path).await;
    assert_eq!(read.error(403, "ERR_FORBIDDEN"), &json!({"field": "actorId", "allowed": ["Kai"]}));
    let written = cafe.kai.act("/v1/snapshots/agent", imposed).await;
    assert_eq!(written.error(403, "ERR_FORBIDDEN")["field"], "actorId");
    let _ = cafe.rival.get(path).await.error(404, "ERR_NOT_FOUND");
    let again = cafe.nova_with(json!({})).await;
    for client in cafe.managers().into_iter().chain([&cafe.nova.client, &again]) {
        assert_eq!(client.get(path).await.data()["snapshot"]["state"], json!({"mood": "calm"}));
    }
}

/// What was made with the shared token has no owner: only holders of the token, and admins, reach it.
#[tokio::test]
async fn record_without_an_owner_exists_for_managers() {
    let cafe = Cafe::start().await;
    let made = subscribe(&cafe.root, json!({"targetUrl": "http://127.0.0.1:9/", "actorId": "Nova"})).await;
    let answers = rule(&cafe.root, json!({"targetActorId": "Nova"})).await;
    let said = json!({"actorId": "Nova", "text": "hi", "correlationId": "shared"});
    let _ = cafe.root.act("/v1/commands/say", said).await.data();
    assert!(made.get("owner").is_none(), "{made}");
    let paths = [
        (format!("{HOOKS}/{{id}}"), id_of(&made)),
        (format!("{RULES}/{{id}}"), answers.as_str()),
        ("/v1/traces/{id}".to_owned(), "shared"),
    ];
    for (path, id) in paths {
        assert_hidden(&cafe.nova.client, Method::GET, &path, id).await;
        for client in cafe.managers() {
            let _ = client.get(&path.replace("{id}", id)).await.data();
        }
    }
}
