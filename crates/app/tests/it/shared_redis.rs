//! API nodes with Redis: unread counts, and limits that hold for all nodes together; and the fallback without it.

use std::time::Duration;

use agentcafe_testkit::{Client, Launch, Postgres, Redis, Server, Value, eventually, json};

use crate::launch;

const DEADLINE: Duration = Duration::from_secs(60);

fn with(redis: &Redis) -> Launch {
    launch().env("REDIS_URL", redis.url())
}

async fn mention(client: &Client, room: &str, who: &str) {
    let body = json!({ "actorId": "Nova", "roomId": room, "text": format!("hey @{who}"), "mentions": [who] });
    client.act("/v1/commands/say", body).await;
}

async fn copied(redis: &Redis, key: &str, want: Value) {
    let mut seen = Value::Null;
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            seen = redis.contents().get(key).map_or(json!({}), |entry| entry["content"].clone());
            if seen == want {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(found.await.is_ok(), "{key} is {seen}, not {want}");
}

/// A count of zero has no field. Ids that contain a colon are escaped.
#[tokio::test]
async fn unread_counts_are_copied_to_redis() {
    let redis = Redis::start();
    let server = with(&redis).start().await;
    let client = server.client();
    server.client().until_redis(true).await;
    for _ in 0..3 {
        mention(&client, "main", "Kai").await;
    }
    mention(&client, "the:attic", "Kai").await;
    mention(&client, "main", "Zoe").await;
    let main = "acf:room:default:main:inbox:unread";
    copied(&redis, main, json!({ "Kai": "3", "Zoe": "1" })).await;
    copied(&redis, "acf:room:default:the%3Aattic:inbox:unread", json!({ "Kai": "1" })).await;
    let listed = client.get("/v1/inbox?roomId=main&actorId=Kai").await;
    assert_eq!(
        (&listed.data()["unreadCount"], &listed.data()["projectedUnreadCount"]),
        (&json!(3), &json!(3))
    );
    for query in ["actorId=Kai", "roomId=main", "roomId=main&actorId=Nobody"] {
        let listed = client.get(&format!("/v1/inbox?{query}")).await;
        let want = if query.contains("Nobody") { json!(0) } else { Value::Null };
        assert_eq!(listed.data()["projectedUnreadCount"], want, "{query}");
    }
    let id = listed.data()["items"][0]["inboxId"].as_str().unwrap().to_owned();
    client.act(&format!("/v1/inbox/{id}/ack"), json!({ "actorId": "Kai" })).await;
    copied(&redis, main, json!({ "Kai": "2", "Zoe": "1" })).await;
    client.act("/v1/inbox/ack", json!({ "actorId": "Kai", "upToCursor": 1_000 })).await;
    copied(&redis, main, json!({ "Zoe": "1" })).await;
}

/// When the node starts, and when Redis comes back.
#[tokio::test]
async fn unread_counts_in_redis_are_repaired() {
    let mut redis = Redis::start();
    let mut server = with(&redis).start().await;
    server.client().until_redis(true).await;
    for number in 0..20 {
        mention(&server.client(), "main", &format!("a{number}")).await;
    }
    mention(&server.client(), "main", "Kai").await;
    let key = "acf:room:default:main:inbox:unread";
    let all: Value = (0..20)
        .map(|number| (format!("a{number}"), "1".into()))
        .chain([("Kai".to_owned(), "1".into())])
        .collect::<serde_json::Map<_, _>>()
        .into();
    copied(&redis, key, all.clone()).await;
    redis.wipe();
    copied(&redis, key, all.clone()).await;
    redis.kill();
    server.client().until_redis(false).await;
    let projected = async |server: &Server| {
        server.client().get("/v1/inbox?roomId=main&actorId=Kai").await.data()["projectedUnreadCount"].clone()
    };
    assert_eq!(projected(&server).await, Value::Null, "only the copy is missing, not the count");
    mention(&server.client(), "main", "Kai").await;
    redis.restart();
    let mut more = all.clone();
    more["Kai"] = "2".into();
    copied(&redis, key, more.clone()).await;
    server.kill();
    let _ = redis.ask(&["HSET", key, "Kai", "99", "Ghost", "7"]);
    let _ = redis.ask(&["HDEL", key, "a3"]);
    let _ = redis.ask(&["DEL", "acf:room:default:main:inbox:unread:at"]);
    server.restart().await;
    copied(&redis, key, more).await;
    server.client().until_redis(true).await;
    let health = server.client().get("/healthz").await.json;
    assert_eq!(health["inboxProjector"]["counters"], json!({ "enabled": true, "reason": null }));
}

/// Changes at the same time.
#[tokio::test]
async fn unread_counts_in_redis_are_right_after_changes_on_two_nodes() {
    let redis = Redis::start();
    let nodes = two_nodes(&with(&redis)).await;
    for node in &nodes {
        node.client().until_redis(true).await;
    }
    let work = |worker: usize| {
        let client = nodes[worker % 2].client();
        async move {
            for round in 0..15 {
                mention(&client, "main", "Kai").await;
                if round % 5 == worker % 5 {
                    let up_to = json!({ "actorId": "Kai", "upToCursor": 1_000_000 });
                    client.act("/v1/inbox/ack", up_to).await;
                }
            }
        }
    };
    tokio::join!(work(0), work(1), work(2), work(3));
    let inbox = nodes[0].client().get("/v1/inbox?roomId=main&actorId=Kai").await;
    let unread = inbox.data()["unreadCount"].as_u64().unwrap();
    let want = if unread == 0 { json!({}) } else { json!({ "Kai": unread.to_string() }) };
    copied(&redis, "acf:room:default:main:inbox:unread", want).await;
}

/// Each node reports the remaining budget.
#[tokio::test]
async fn rate_limit_is_shared_by_all_nodes() {
    let redis = Redis::start();
    let node = || with(&redis).env("API_RATE_LIMIT_PER_MIN", 20).start();
    let nodes = [node().await, node().await, node().await];
    for node in &nodes {
        node.client().until_redis(true).await;
    }
    let clients: Vec<Client> = nodes.iter().map(Server::client).collect();
    let mut allowed = 0;
    let mut remaining = Vec::new();
    for number in 0..30 {
        let answer = clients[number % clients.len()].get("/v1/presence").await;
        allowed += usize::from(answer.status == 200);
        remaining.push(answer.header("x-ratelimit-remaining").unwrap_or_default().to_owned());
        let reset: u64 = answer.header("retry-after").map_or(1, |after| after.parse().unwrap());
        assert!((1..=60).contains(&reset));
    }
    assert_eq!(allowed, 20);
    let want: Vec<String> = (0..30_usize).map(|number| 19_usize.saturating_sub(number).to_string()).collect();
    assert_eq!(remaining, want);
    assert_eq!(clients[0].get("/v1/rooms").await.status, 200, "another route");
    let key = "acf:rate:GET:/v1/presence:127.0.0.1";
    assert!((1..=60_000).contains(&redis.ask(&["PTTL", key]).as_i64().unwrap()));
}

/// A node starts without Redis, and continues if Redis dies or hangs. `/healthz` shows it.
#[tokio::test]
async fn rate_limit_is_per_node_while_redis_is_down() {
    let mut redis = Redis::start();
    redis.kill();
    let server = with(&redis).env("API_RATE_LIMIT_PER_MIN", 10).start().await;
    let client = Client::new(server.address());
    let limits = async || client.get("/healthz").await.json["redis"]["limits"].clone();
    assert_eq!(limits().await, "own");
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(client.get("/v1/presence").await.status);
    }
    assert_eq!(statuses, [[200; 10].as_slice(), &[429; 2]].concat());
    redis.restart();
    server.client().until_redis(true).await;
    assert_eq!(limits().await, "shared");
    assert_eq!(client.get("/v1/rooms").await.status, 200);
    redis.freeze();
    let began = tokio::time::Instant::now();
    for _ in 0..9 {
        assert_eq!(client.get("/v1/rooms").await.status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(client.get("/v1/rooms").await.status, 429, "requests before count");
    redis.thaw();
    server.client().until_redis(true).await;
    let page = client.get("/metrics").await.text;
    let own = page.lines().find_map(|line| line.strip_prefix("agentcafe_redis_own_limits_total "));
    assert!(own.and_then(|count| count.parse::<u64>().ok()) >= Some(12), "{own:?}");
    assert!(page.contains("agentcafe_redis_connected 1"), "{page}");
}

/// A reply that is an error is no lost connection: a full memory, a missing permission, a replica. Each node then applies its own
/// limits without waiting for Redis, `/healthz` has the reason, and the log has it once.
#[tokio::test]
async fn redis_error_replies_are_no_lost_connection() {
    let redis = Redis::start();
    let server = with(&redis).env("API_RATE_LIMIT_PER_MIN", 10_000).start().await;
    server.client().until_redis(true).await;
    let client = Client::new(server.address());
    let health = async || client.get("/healthz").await.json["redis"].clone();
    let before = health().await;
    assert_eq!((&before["limits"], &before["refused"]), (&json!("shared"), &json!({})));
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("OOM", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        ("NOPERM", &["ACL", "SETUSER", "default", "-set", "-eval"], &["ACL", "SETUSER", "default", "+@all"]),
        ("READONLY", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (number, (code, refuse, repair)) in cases.into_iter().enumerate() {
        assert_eq!(redis.ask(refuse), "OK");
        for _ in 0..20 {
            assert_eq!(client.get("/v1/presence").await.status, 200, "{code}");
        }
        mention(&client, "main", &format!("Kai{number}")).await;
        let during = health().await;
        assert_eq!(
            (&during["limits"], &during["connected"]),
            (&json!("own"), &json!(true)),
            "{code}: {during}"
        );
        assert_eq!(during["failures"], before["failures"], "{code}: {during}");
        let reason = during["refused"]["rateLimits"].as_str().unwrap_or_default();
        assert!(reason.starts_with(code), "{code}: {during}");
        assert_eq!(redis.ask(repair), "OK");
        eventually(&format!("limits are shared after {code}"), DEADLINE, async || {
            client.get("/v1/presence").await;
            mention(&client, "lobby", "Zoe").await;
            (health().await["limits"] == "shared").then_some(())
        })
        .await;
        let counts = (0..=number).map(|number| (format!("Kai{number}"), "1".into()));
        let counts: Value = counts.collect::<serde_json::Map<_, _>>().into();
        copied(&redis, "acf:room:default:main:inbox:unread", counts).await;
    }
    let log = server.log();
    let times =
        |text: &str| log.lines().filter(|line| line.contains(text) && line.contains("RateLimits")).count();
    assert_eq!(times("Redis replies with an error"), 3, "{log}");
    assert_eq!(times("Redis replies without errors again"), 3, "{log}");
}

/// The error does not contain the URL, which may hold a password.
#[tokio::test]
async fn redis_url_that_is_invalid_stops_the_start() {
    let failed = launch().env("REDIS_URL", "s3cret@nowhere").try_start().await.unwrap_err();
    assert!(failed.log.contains("REDIS_URL") && !failed.log.contains("s3cret"), "{}", failed.log);
}

/// Two nodes on one database.
async fn two_nodes(launch: &Launch) -> [Server; 2] {
    let launch = launch.clone().env("DATABASE_URL", Postgres::shared().database());
    [launch.clone().start().await, launch.start().await]
}

/// Posts a message on a node; returns the error code, if any.
async fn said(node: &Server, text: &str) -> Option<String> {
    let body = json!({ "actorId": "Nova", "text": text });
    let answer = node.client().act("/v1/commands/say", body).await;
    answer.json["error"]["details"]["reasonCode"].as_str().map(str::to_owned)
}

/// Also with a node that started later.
#[tokio::test]
async fn moderation_is_shared_by_all_nodes() {
    let redis = Redis::start();
    let limited = with(&redis)
        .env("MOD_MAX_ACTIONS_PER_WINDOW", 6)
        .env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 2)
        .env("MOD_COOLDOWN_MS", 0);
    let mut nodes = two_nodes(&limited).await;
    for node in &nodes {
        node.client().until_redis(true).await;
    }
    let [first, second] = &nodes;
    assert_eq!(said(first, "same words").await, None);
    assert_eq!(said(second, "Same  WORDS").await, None);
    assert_eq!(said(first, "same words").await.as_deref(), Some("MOD_REPEAT_TEXT"));
    assert_eq!(said(second, "same words").await.as_deref(), Some("MOD_REPEAT_TEXT"));
    for number in 0..4 {
        assert_eq!(said(&nodes[number % 2], &format!("word {number}")).await, None);
    }
    for node in &nodes {
        assert_eq!(said(node, "one more").await.as_deref(), Some("MOD_RATE_LIMIT"));
    }
    nodes[1].restart().await;
    nodes[1].client().until_redis(true).await;
    assert_eq!(said(&nodes[1], "one more").await.as_deref(), Some("MOD_RATE_LIMIT"), "after a restart");
}

#[tokio::test]
async fn moderation_interval_and_cooldown_are_shared_by_all_nodes() {
    let redis = Redis::start();
    let hasty = with(&redis).env("MOD_MIN_ACTION_INTERVAL_MS", 600_000);
    let [first, second] = two_nodes(&hasty).await;
    let sent = with(&redis)
        .env("INBOX_REDIS_PREFIX", "quiet")
        .env("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 1)
        .env("MOD_COOLDOWN_MS", 600_000);
    let quiet = two_nodes(&sent).await;
    for node in [&first, &second, &quiet[0], &quiet[1]] {
        node.client().until_redis(true).await;
    }
    assert_eq!(said(&first, "a").await, None);
    assert_eq!(said(&second, "b").await.as_deref(), Some("MOD_MIN_INTERVAL"));
    assert_eq!(said(&quiet[0], "a").await, None);
    assert_eq!(said(&quiet[1], "a").await.as_deref(), Some("MOD_REPEAT_TEXT"));
    assert_eq!(said(&quiet[0], "b").await.as_deref(), Some("MOD_COOLDOWN"));
}

/// Redis is down or hangs. Actions that a node has counted stay counted.
#[tokio::test]
async fn moderation_is_per_node_while_redis_is_down() {
    let mut redis = Redis::start();
    let nodes = two_nodes(&with(&redis).env("MOD_MAX_ACTIONS_PER_WINDOW", 4)).await;
    for node in &nodes {
        node.client().until_redis(true).await;
    }
    assert_eq!(said(&nodes[0], "1").await, None);
    assert_eq!(said(&nodes[1], "2").await, None);
    redis.freeze();
    assert_eq!(said(&nodes[0], "3").await, None, "it has the action 1");
    assert_eq!(said(&nodes[1], "3").await, None, "it has the actions 1 and 2");
    redis.thaw();
    redis.wipe();
    for node in &nodes {
        node.client().until_redis(true).await;
    }
    assert_eq!(said(&nodes[1], "4").await, None);
    assert_eq!(said(&nodes[1], "5").await.as_deref(), Some("MOD_RATE_LIMIT"), "1, 2, 3 and 4");
}
