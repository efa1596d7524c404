//! The projector: read models in Redis match the log, after kills, wipes and lost connections.

use std::collections::BTreeMap;
use std::time::Duration;

use agentcafe_domain::kernel::{Event, RoomId, TenantId};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_testkit::{Launch, Redis, Server, Value, eventually, json, steady_port};

use crate::{launch, log};

const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const CURSOR: &str = "acf:projector:cursor";

/// The launch of a projector of this server.
pub(crate) fn launch_projector(server: &Server, redis: &Redis) -> Launch {
    launch()
        .subcommand("projector")
        .env("PROJECTOR_EVENT_SOURCE_URL", server.url())
        .env("PROJECTOR_STREAM_RECONNECT_MS", 100)
        .env("PROJECTOR_HEALTH_PORT", 0)
        .env("REDIS_URL", redis.url())
}

/// The launch of a server on which presence does not expire during a test.
fn launch_with_long_presence() -> Launch {
    launch().env("PRESENCE_DEFAULT_TTL_MS", 600_000)
}

/// A server that keeps its port across restarts.
async fn cafe_on_fixed_port() -> Server {
    launch_with_long_presence().env("API_PORT", steady_port()).start().await
}

/// Appends every kind of event that read models show, in a few rooms.
async fn append_events(server: &Server, rounds: usize) {
    let client = server.client();
    for round in 0..rounds {
        for (room, actor) in [("main", "Nova"), ("main", "Kai"), ("the:attic", "Nova")] {
            let who = |more: Value| {
                let mut body = json!({ "roomId": room, "actorId": actor });
                body.as_object_mut()
                    .expect("an object")
                    .extend(more.as_object().cloned().unwrap_or_default());
                body
            };
            client.act("/v1/commands/say", who(json!({ "text": format!("{round}: hey @Kai ☕") }))).await;
            client.act("/v1/commands/move", who(json!({ "direction": "N", "steps": 1 }))).await;
            client.act("/v1/commands/order", who(json!({ "itemId": "mocha", "size": "small" }))).await;
            client.act("/v1/tasks", who(json!({ "title": format!("task {round}") }))).await;
        }
    }
}

/// Waits until all events are projected, and returns all keys in Redis, except the lock.
async fn settled_keys(server: &Server, redis: &Redis) -> BTreeMap<String, Value> {
    eventually("the log is projected", DEADLINE, async || {
        let head = log(&server.client()).await.len().to_string();
        (redis.ask(&["GET", CURSOR]) == head).then_some(())
    })
    .await;
    let mut contents = redis.contents();
    contents.remove("acf:projector:lock");
    contents
}

/// The keys that a projector without a cursor makes of the log.
async fn project_from_scratch(server: &Server) -> BTreeMap<String, Value> {
    let redis = Redis::start();
    let _projector = launch_projector(server, &redis).start().await;
    settled_keys(server, &redis).await
}

/// Checks that both are the same, byte for byte.
fn assert_same(one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>, what: &str) {
    let differing: Vec<&String> =
        one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key)).collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

fn content<'a>(contents: &'a BTreeMap<String, Value>, key: &str) -> &'a Value {
    &contents.get(key).unwrap_or_else(|| panic!("no {key} in {:?}", contents.keys()))["content"]
}

/// The stream has the log's sequences as ids.
#[tokio::test]
async fn projector_writes_all_read_models_of_every_room() {
    let (server, redis) = (launch_with_long_presence().start().await, Redis::start());
    let projector = launch_projector(&server, &redis).start().await;
    append_events(&server, 5).await;
    let contents = settled_keys(&server, &redis).await;
    let events = log(&server.client()).await;
    for (room, key) in [("main", "acf:room:default:main"), ("the:attic", "acf:room:default:the%3Aattic")] {
        let of_room: Vec<&Value> = events.iter().filter(|event| event["roomId"] == room).collect();
        let mut projection = RoomProjection::new(TenantId::default(), RoomId::parse(room).unwrap());
        for event in &of_room {
            projection.apply(&serde_json::from_value::<Event>((*event).clone()).unwrap());
        }
        let text = |part: &str| content(&contents, &format!("{key}:{part}")).clone();
        assert_eq!(text("state"), serde_json::to_string(&projection.state()).unwrap());
        assert_eq!(text("state:snapshot"), serde_json::to_string(&projection.compact()).unwrap());
        let lines = |entries: Vec<String>| json!(entries);
        assert_eq!(
            text("chat"),
            lines(projection.chat().iter().map(|said| serde_json::to_string(said).unwrap()).collect())
        );
        assert_eq!(
            text("orders"),
            lines(projection.orders().iter().map(|order| serde_json::to_string(order).unwrap()).collect())
        );
        let present: serde_json::Map<String, Value> = projection
            .active_actors()
            .iter()
            .map(|actor| (actor.actor_id.to_string(), serde_json::to_string(actor).unwrap().into()))
            .collect();
        assert_eq!(text("presence"), Value::Object(present));
        assert_eq!(contents[&format!("{key}:presence")]["expires"], true, "the presence key expires");
        let stream = text("stream");
        let stream = stream.as_array().unwrap();
        assert_eq!(stream.len(), of_room.len());
        for (entry, event) in stream.iter().zip(of_room) {
            assert_eq!(entry[0], format!("{}-0", event["sequence"]));
            let fields: Vec<&str> =
                entry[1].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            let names: Vec<&str> = fields.iter().copied().step_by(2).collect();
            let want = "eventId sequence tenantId roomId actorId type timestamp payload event";
            assert_eq!(names.join(" "), want);
            assert_eq!(fields[11], event["type"].as_str().unwrap());
            assert_eq!(serde_json::from_str::<Value>(fields[15]).unwrap(), event["payload"]);
            assert_eq!(serde_json::from_str::<Value>(fields[17]).unwrap(), *event);
        }
    }
    // The health document is updated after Redis.
    let health = eventually("the health document has it", DEADLINE, async || {
        let health = projector.client().get("/healthz").await.json;
        (health["cursor"] == events.len()).then_some(health)
    })
    .await;
    assert_eq!(health["ok"], true);
    assert_eq!((&health["service"], &health["rooms"]), (&json!("agentcafe-projector"), &json!(2)));
    assert_eq!((&health["redis"]["connected"], &health["source"]["connected"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn projector_updates_a_quiet_room_within_250_ms() {
    const MAX_DELAY: Duration = Duration::from_millis(250);
    let (server, redis) = (launch_with_long_presence().start().await, Redis::start());
    let _projector = launch_projector(&server, &redis).start().await;
    append_events(&server, 1).await;
    settled_keys(&server, &redis).await;
    let mut fastest = Duration::MAX;
    // A busy machine needs more than one attempt.
    for number in 0..50 {
        let text = format!("is {number} fresh?");
        server.client().act("/v1/commands/say", json!({ "actorId": "Nova", "text": text })).await;
        let said = tokio::time::Instant::now();
        eventually("it is in the chat", DEADLINE, async || {
            let newest = redis.ask(&["LINDEX", "acf:room:default:main:chat", "0"]);
            newest.as_str().unwrap().contains(&text).then_some(())
        })
        .await;
        fastest = fastest.min(said.elapsed());
        if fastest < MAX_DELAY {
            return;
        }
    }
    panic!("the fastest took {fastest:?}");
}

/// A reply that is an error is no lost connection: the projector shows it, and continues when Redis accepts its writes again.
#[tokio::test]
async fn projector_resumes_after_error_replies_of_redis() {
    let (server, redis) = (cafe_on_fixed_port().await, Redis::start());
    let projector = launch_projector(&server, &redis).start().await;
    let health = async || projector.client().get("/healthz").await.json;
    append_events(&server, 1).await;
    settled_keys(&server, &redis).await;
    let failures = health().await["redis"]["failures"].clone();
    let cases: [(&str, &[&str], &[&str]); 2] = [
        ("OOM", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        ("NOPERM", &["ACL", "SETUSER", "default", "-xadd"], &["ACL", "SETUSER", "default", "+@all"]),
    ];
    for (code, refuse, repair) in cases {
        assert_eq!(redis.ask(refuse), "OK");
        append_events(&server, 1).await;
        let during = eventually(&format!("{code} is shown"), DEADLINE, async || {
            Some(health().await).filter(|health| health["redis"]["refused"].to_string().contains(code))
        })
        .await;
        assert_eq!((&during["ok"], &during["redis"]["connected"]), (&json!(false), &json!(true)), "{during}");
        assert_eq!(redis.ask(repair), "OK");
        let keys = settled_keys(&server, &redis).await;
        assert_same(&keys, &project_from_scratch(&server).await, code);
    }
    eventually("nothing is refused", DEADLINE, async || (health().await["ok"] == true).then_some(())).await;
    assert_eq!(health().await["redis"]["failures"], failures);
}

#[tokio::test]
async fn projector_rebuilds_identical_bytes_after_stops_kills_and_wipes() {
    let (server, mut redis) = (cafe_on_fixed_port().await, Redis::start());
    let mut projector = launch_projector(&server, &redis).start().await;
    append_events(&server, 3).await;
    let before = settled_keys(&server, &redis).await;
    assert!(projector.stop().await.success());
    projector.restart().await;
    assert_same(&settled_keys(&server, &redis).await, &before, "stopped");
    append_events(&server, 2).await;
    projector.kill();
    append_events(&server, 2).await;
    projector.restart().await;
    let after = settled_keys(&server, &redis).await;
    assert_ne!(after, before);
    assert_same(&project_from_scratch(&server).await, &after, "killed");
    redis.wipe();
    assert_same(&settled_keys(&server, &redis).await, &after, "wiped while the projector runs");
    projector.kill();
    redis.wipe();
    projector.restart().await;
    assert_same(&settled_keys(&server, &redis).await, &after, "wiped while it did not");
    let _ = redis.ask(&["DEL", CURSOR]);
    assert_same(&settled_keys(&server, &redis).await, &after, "the cursor was lost, and only that");
    let _ = redis.ask(&["DEL", "acf:room:default:main:fold"]);
    projector.restart().await;
    eventually("a lost read model is rebuilt", DEADLINE, async || {
        (redis.ask(&["EXISTS", "acf:room:default:main:fold"]) == 1).then_some(())
    })
    .await;
    assert_same(&settled_keys(&server, &redis).await, &after, "a read model was lost");
}

#[tokio::test]
async fn projector_recovers_after_redis_is_down_or_hangs() {
    let (server, mut redis) = (launch_with_long_presence().start().await, Redis::start());
    redis.stop();
    let starting = tokio::spawn(launch_projector(&server, &redis).start());
    append_events(&server, 2).await;
    redis.restart();
    let projector = starting.await.unwrap();
    settled_keys(&server, &redis).await;
    redis.kill();
    append_events(&server, 2).await;
    eventually("it reports that Redis is down", DEADLINE, async || {
        let health = projector.client().get("/healthz").await.json;
        (health["ok"] == false && health["redis"]["lastError"].is_string()).then_some(())
    })
    .await;
    assert_eq!(projector.client().get("/readyz").await.status, 503);
    redis.restart();
    settled_keys(&server, &redis).await;
    redis.freeze();
    append_events(&server, 2).await;
    redis.thaw();
    let contents = settled_keys(&server, &redis).await;
    assert_same(&project_from_scratch(&server).await, &contents, "projected from scratch");
}

#[tokio::test]
async fn projector_resumes_without_a_gap_after_the_api_is_down() {
    let (mut server, redis) = (cafe_on_fixed_port().await, Redis::start());
    let projector = launch_projector(&server, &redis).start().await;
    for _ in 0..3 {
        append_events(&server, 1).await;
        server.kill();
        eventually("it reports that the API is down", DEADLINE, async || {
            let health = projector.client().get("/healthz").await.json;
            (health["ok"] == false && health["source"]["connected"] == false).then_some(())
        })
        .await;
        server.restart().await;
    }
    append_events(&server, 1).await;
    let contents = settled_keys(&server, &redis).await;
    assert_same(&project_from_scratch(&server).await, &contents, "projected from scratch");
}

/// Nothing of the first log is left.
#[tokio::test]
async fn projector_rebuilds_when_the_log_is_replaced() {
    let (mut first, redis) = (cafe_on_fixed_port().await, Redis::start());
    let _projector = launch_projector(&first, &redis).start().await;
    append_events(&first, 3).await;
    settled_keys(&first, &redis).await;
    first.kill();
    let second = launch().env("API_PORT", first.address().port()).start().await;
    second
        .client()
        .act("/v1/commands/say", json!({ "actorId": "Zoe", "roomId": "cellar", "text": "hi" }))
        .await;
    let contents = settled_keys(&second, &redis).await;
    assert!(
        contents.keys().all(|key| !key.contains("main") && !key.contains("attic")),
        "{:?}",
        contents.keys()
    );
    assert_same(&project_from_scratch(&second).await, &contents, "projected from scratch");
}

/// Without the API and without the projector.
#[tokio::test]
async fn projector_presence_expires_without_events() {
    let (mut server, redis) = (launch_with_long_presence().start().await, Redis::start());
    let mut projector =
        launch_projector(&server, &redis).env("PROJECTOR_REDIS_PRESENCE_TTL_SECONDS", 10).start().await;
    let client = server.client();
    let beat = async |actor: &str, ttl_ms: u64| {
        client
            .act("/v1/presence/heartbeat", json!({ "actorId": actor, "status": "idle", "ttlMs": ttl_ms }))
            .await;
    };
    beat("Nova", 600_000).await;
    beat("Kai", 8_000).await;
    settled_keys(&server, &redis).await;
    let key = "acf:room:default:main:presence";
    let who = || {
        let mut actors = redis.ask(&["HKEYS", key]);
        actors.as_array_mut().expect("a list").sort_by_key(Value::to_string);
        actors
    };
    assert_eq!(who(), json!(["Kai", "Nova"]));
    server.kill();
    eventually("Kai's presence expires without an event", DEADLINE, async || {
        (who() == json!(["Nova"])).then_some(())
    })
    .await;
    let left = || redis.ask(&["PTTL", key]).as_i64().unwrap();
    let before = left();
    assert!((1..=10_000).contains(&before), "{before}");
    eventually("it is renewed", DEADLINE, async || (left() > 8_000).then_some(())).await;
    projector.kill();
    assert!((1..=10_000).contains(&left()), "it is not renewed any more");
}

/// A change of the list adds and removes rooms.
#[tokio::test]
async fn projector_room_list_restricts_the_rooms() {
    let (server, redis) = (launch_with_long_presence().start().await, Redis::start());
    let attic = launch_projector(&server, &redis).env("PROJECTOR_ROOM_ID", "the:attic");
    append_events(&server, 1).await;
    let mut projector = attic.clone().start().await;
    let rooms = async |want: &[&str]| {
        eventually("the rooms are those of the list", DEADLINE, async || {
            let mut names = redis.ask(&["SMEMBERS", "acf:projector:rooms"]);
            names.as_array_mut().unwrap().sort_by_key(Value::to_string);
            (names == json!(want)).then_some(())
        })
        .await;
    };
    rooms(&["default:the%3Aattic"]).await;
    projector.kill();
    projector = launch_projector(&server, &redis).start().await;
    rooms(&["default:main", "default:the%3Aattic"]).await;
    projector.kill();
    let _projector = attic.start().await;
    rooms(&["default:the%3Aattic"]).await;
    assert_eq!(redis.ask(&["EXISTS", "acf:room:default:main:state"]), 0);
}

/// A room is projected if both its tenant and its id are listed; the order of a list is without meaning.
#[tokio::test]
async fn projector_scope_has_the_listed_tenants_and_rooms() {
    let server = launch_with_long_presence().start().await;
    append_events(&server, 1).await;
    let both: &[&str] = &["default:main", "default:the%3Aattic"];
    let mut shapes = Vec::new();
    for (tenants, list, want) in [
        ("default", "", both),
        ("default", "main,cellar", &both[..1]),
        ("other", "main", &[]),
        ("", "the:attic,main", both),
        ("", "main,the:attic", both),
    ] {
        let redis = Redis::start();
        let projector = launch_projector(&server, &redis).env("PROJECTOR_TENANT_ID", tenants);
        let _projector = projector.env("PROJECTOR_ROOM_ID", list).start().await;
        settled_keys(&server, &redis).await;
        let mut names = redis.ask(&["SMEMBERS", "acf:projector:rooms"]);
        names.as_array_mut().unwrap().sort_by_key(Value::to_string);
        assert_eq!(names, json!(want), "{tenants:?} {list:?}");
        shapes.push(redis.ask(&["GET", "acf:projector:shape"]));
    }
    assert!(shapes[3] == shapes[4] && shapes[3] != shapes[0], "{shapes:?}");
}

/// At least 10 s, and forever at 0 and below.
#[tokio::test]
async fn projector_presence_time_to_live_is_bounded() {
    let server = launch_with_long_presence().start().await;
    append_events(&server, 1).await;
    for (seconds, want) in [("-1", None), ("0", None), ("1", Some(10_000)), ("11", Some(11_000))] {
        let redis = Redis::start();
        let launch = launch_projector(&server, &redis).env("PROJECTOR_REDIS_PRESENCE_TTL_SECONDS", seconds);
        let _projector = launch.start().await;
        settled_keys(&server, &redis).await;
        let left = redis.ask(&["PTTL", "acf:room:default:main:presence"]).as_i64().unwrap();
        let is_right = want.map_or(left == -1, |max| (max - 9_000..=max).contains(&left));
        assert!(is_right, "{seconds}: {left} ms are left");
    }
}

/// At most `PROJECTOR_REDIS_STREAM_MAXLEN`.
#[tokio::test]
async fn projector_stream_keeps_the_newest_events() {
    let (server, redis) = (launch_with_long_presence().start().await, Redis::start());
    let projector = launch_projector(&server, &redis).env("PROJECTOR_REDIS_STREAM_MAXLEN", 100);
    append_events(&server, 20).await;
    let _projector = projector.start().await;
    settled_keys(&server, &redis).await;
    let stream = redis.ask(&["XRANGE", "acf:room:default:main:stream", "-", "+"]);
    let ids: Vec<&Value> = stream.as_array().unwrap().iter().map(|entry| &entry[0]).collect();
    let events = log(&server.client()).await;
    let main = events.iter().filter(|event| event["roomId"] == "main");
    let want: Vec<String> = main.map(|event| format!("{}-0", event["sequence"])).collect();
    assert_eq!(ids, want[want.len() - 100..].iter().collect::<Vec<_>>());
}

/// It continues at the stored cursor.
#[tokio::test]
async fn projector_standby_takes_over_after_a_kill() {
    let (server, redis) = (launch_with_long_presence().start().await, Redis::start());
    let mut first = launch_projector(&server, &redis).start().await;
    append_events(&server, 1).await;
    settled_keys(&server, &redis).await;
    let second = launch_projector(&server, &redis).start().await;
    eventually("the second stands by", DEADLINE, async || {
        (second.client().get("/healthz").await.json["standby"] == true).then_some(())
    })
    .await;
    append_events(&server, 1).await;
    settled_keys(&server, &redis).await;
    first.kill();
    append_events(&server, 1).await;
    let contents = settled_keys(&server, &redis).await;
    assert_eq!(second.client().get("/healthz").await.json["standby"], false);
    assert_same(&project_from_scratch(&server).await, &contents, "projected from scratch");
}

#[tokio::test]
async fn projector_sends_the_token() {
    let (server, redis) = (launch().env("API_AUTH_TOKEN", "s3cret").start().await, Redis::start());
    let client = server.client().with_header("x-api-key", "s3cret");
    let projector = launch_projector(&server, &redis).env("API_AUTH_TOKEN", "s3cret").start().await;
    client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hi" })).await;
    eventually("it is projected", DEADLINE, async || {
        (redis.ask(&["LLEN", "acf:room:default:main:chat"]) == 1).then_some(())
    })
    .await;
    assert!(!projector.log().contains("s3cret"));
}
