//! Read models and streams in a real Redis server.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    ActionSource, ActorId, ActorInRoom, RoomId, Secret, Sequence, TenantId, Timestamp,
};
use agentcafe_domain::moderation::RecentActivity;
use agentcafe_domain::projection::RoomProjection;
use agentcafe_redis::rate_limit::{self, RateLimitKey};
use agentcafe_redis::read_models::{
    ReadModelLimits, ReadModels, RoomWrite, StoredRoom, StreamEntry, WriteOutcome,
};
use agentcafe_redis::{Keys, RedisConnection, RedisUse, RoomName, moderation_activity, stream};
use agentcafe_testkit::{Redis, eventually};
use tokio_util::sync::CancellationToken;

const LIMITS: ReadModelLimits =
    ReadModelLimits { stream_maxlen: 100, presence_ttl: Some(Duration::from_secs(60)) };
const LOCK_TTL: Duration = Duration::from_secs(60);

async fn connect(redis: &Redis) -> Arc<RedisConnection> {
    let connection = RedisConnection::new(&Secret::new(redis.url()), Duration::from_secs(5)).unwrap();
    tokio::spawn(Arc::clone(&connection).maintain(CancellationToken::new()));
    connection.wait_connected().await;
    connection
}

fn main_room() -> (RoomName, RoomProjection) {
    let (tenant, room) = (TenantId::default(), RoomId::main());
    (RoomName::new(&tenant, &room), RoomProjection::new(tenant, room))
}

fn entry(sequence: u64, json: &str) -> StreamEntry {
    let names =
        ["eventId", "sequence", "tenantId", "roomId", "actorId", "type", "timestamp", "payload", "event"];
    StreamEntry { sequence: Sequence(sequence), fields: names.map(|name| (name, json.to_owned())) }
}

async fn write(read_models: &ReadModels, before: Option<u64>, cursor: u64) -> WriteOutcome {
    let (room, projection) = main_room();
    let entries = vec![entry(cursor, &format!("{{\"sequence\":{cursor}}}"))];
    let writes = vec![RoomWrite { room: &room, projection: &projection, entries }];
    let written = read_models.write(before.map(Sequence), Sequence(cursor), writes, Timestamp::default());
    written.await.unwrap()
}

/// An error reply concerns one use of Redis: the connection stays, other uses are served, and this one is tried again.
#[tokio::test]
async fn redis_connection_survives_error_replies() {
    let redis = Redis::start();
    let (connection, keys) = (connect(&redis).await, Keys::new("acf"));
    let number = connection.wait_connected().await;
    let key = RateLimitKey { client: "127.0.0.1", method: "GET", route: "/v1/rooms" };
    let count = async || rate_limit::count(&connection, &keys, key, Duration::from_secs(60)).await;
    count().await.unwrap();
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("OOM ", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        ("NOPERM ", &["ACL", "SETUSER", "default", "-set"], &["ACL", "SETUSER", "default", "+@all"]),
        ("READONLY ", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (code, refuse, repair) in cases {
        assert_eq!(redis.ask(refuse), "OK");
        let refused = count().await.unwrap_err();
        assert!(refused.0.starts_with(code), "{refused}");
        assert_eq!(redis.ask(repair), "OK");
        let (room, _) = main_room();
        assert_eq!(stream::newest(&connection, &keys, &room, 10).await.unwrap(), []);
        let status = connection.status();
        assert_eq!(status.unavailable(&[RedisUse::RateLimits]), Some(refused.0));
        assert_eq!(status.unavailable(&[RedisUse::Replays]), None);
        eventually("it is served again", Duration::from_secs(20), async || count().await.ok()).await;
        assert!(connection.status().is_serving());
    }
    assert_eq!(connection.status().failures, 0);
    assert_eq!(connection.wait_connected().await, number, "the connection was replaced");
}

/// A write replaces the one that it expects, or nothing is written.
#[tokio::test]
async fn read_models_concurrent_writes_commit_one() {
    let redis = Redis::start();
    let keys = Keys::new("acf");
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(connect(&redis).await);
    }
    let read_models: Vec<ReadModels> = connections
        .iter()
        .map(|connection| ReadModels::new(Arc::clone(connection), keys.clone(), "all", LIMITS))
        .collect();
    assert_eq!(write(&read_models[0], Some(7), 8).await, WriteOutcome::Conflict, "nothing was written yet");
    assert_eq!(read_models[0].cursor().await.unwrap(), None);
    let mut before = None;
    for round in 1..=50 {
        let writes = read_models.iter().map(|read_models| write(read_models, before, round));
        let [first, second, third, fourth]: [_; 4] =
            writes.collect::<Vec<_>>().try_into().unwrap_or_else(|_| unreachable!("there are four"));
        let (first, second, third, fourth) = tokio::join!(first, second, third, fourth);
        let committed =
            [first, second, third, fourth].iter().filter(|one| **one == WriteOutcome::Committed).count();
        assert_eq!(committed, 1, "round {round}");
        before = Some(round);
    }
    let kept = stream::after(&connections[0], &keys, &main_room().0, Sequence(40), 5).await.unwrap();
    let sequences: Vec<u64> = kept.iter().map(|kept| kept.sequence.0).collect();
    assert_eq!(sequences, [41, 42, 43, 44, 45]);
    assert_eq!(kept[0].json, "{\"sequence\":41}");
    let newest = stream::newest(&connections[0], &keys, &main_room().0, 2).await.unwrap();
    assert_eq!(newest.iter().map(|kept| kept.sequence.0).collect::<Vec<_>>(), [49, 50]);
    let state = stream::state(&connections[0], &keys, &main_room().0).await.unwrap().unwrap();
    assert_eq!(state.sequence, Sequence(50));
}

/// A prefix may have characters that have a meaning in a pattern.
#[tokio::test]
async fn read_models_clear_removes_only_the_keys_of_the_projector() {
    let redis = Redis::start();
    let (connection, keys) = (connect(&redis).await, Keys::new("a[c]f"));
    let all = ReadModels::new(Arc::clone(&connection), keys.clone(), "all", LIMITS);
    let some = ReadModels::new(connection, keys, "some", LIMITS);
    let room = main_room().0;
    assert!(matches!(all.load(std::slice::from_ref(&room)).await.unwrap()[..], [StoredRoom::New]));
    assert_eq!(write(&all, None, 5).await, WriteOutcome::Committed);
    assert!(matches!(all.load(std::slice::from_ref(&room)).await.unwrap()[..], [StoredRoom::Stored(_)]));
    assert_eq!((all.cursor().await.unwrap(), some.cursor().await.unwrap()), (Some(Sequence(5)), None));
    let others =
        ["a[c]f:rate:GET:/:x", "a[c]f:room:default:main:inbox:unread", "acf:room:default:main:state"];
    for key in others {
        assert_eq!(redis.ask(&["SET", key, "1"]), "OK");
    }
    assert!(
        all.acquire_lock("one", LOCK_TTL).await.unwrap()
            && !some.acquire_lock("two", LOCK_TTL).await.unwrap()
    );
    assert!(some.clear("two", LOCK_TTL).await.is_err(), "another one is at work");
    all.clear("one", LOCK_TTL).await.unwrap();
    let left: Vec<String> = redis.contents().into_keys().collect();
    assert_eq!(left, [&["a[c]f:projector:lock"], &others[..]].concat());
    all.release_lock("two").await.unwrap();
    assert!(!some.acquire_lock("two", LOCK_TTL).await.unwrap());
    all.release_lock("one").await.unwrap();
    assert!(some.acquire_lock("two", LOCK_TTL).await.unwrap());
}

/// Plain ids keep the documented key; other ids are escaped, so that no two rooms share a key.
#[test]
fn redis_keys_are_unique_per_room() {
    let keys = Keys::new("acf");
    let cases = [
        ("default", "main", "acf:room:default:main:state"),
        ("a:b", "c", "acf:room:a%3Ab:c:state"),
        ("a", "b:c", "acf:room:a:b%3Ac:state"),
        ("a%3Ab", "c", "acf:room:a%253Ab:c:state"),
        ("☕", "the attic", "acf:room:☕:the attic:state"),
    ];
    for (tenant, room, want) in cases {
        let ids = (TenantId::parse(tenant).unwrap(), RoomId::parse(room).unwrap());
        let name = RoomName::new(&ids.0, &ids.1);
        assert_eq!(keys.room(&name, "state"), want);
        assert_eq!(name.ids(), Some(ids));
    }
}

/// All kinds of activity are shared, in the order of time. Members that a node cannot decode are ignored.
#[tokio::test]
async fn rate_windows_load_what_was_saved() {
    let redis = Redis::start();
    let (connection, keys) = (connect(&redis).await, Keys::new("acf"));
    let actor = ActorInRoom {
        tenant_id: TenantId::default(),
        room_id: RoomId::main(),
        actor_id: ActorId::parse("Nova").unwrap(),
    };
    let at = Timestamp::from_millis;
    let (api, reaction) = (ActionSource::Api, ActionSource::Reaction);
    let saved = [
        RecentActivity::Acted { at: at(1_234), source: api, text_key: None },
        RecentActivity::Acted { at: at(1_235), source: reaction, text_key: Some("0f".to_owned()) },
        RecentActivity::CooldownUntil(at(1_236)),
    ];
    for member in ["", "x:api::", "1:later::"] {
        assert_eq!(redis.ask(&["ZADD", "acf:room:default:main:moderation:Nova", "1230", member]), 1);
    }
    let activity = saved.clone().map(|activity| (actor.clone(), activity));
    let name = || "node-1".to_owned();
    moderation_activity::save(&connection, &keys, &activity, Duration::from_secs(60), name).await.unwrap();
    let loaded = moderation_activity::load(&connection, &keys, &[actor]).await.unwrap();
    assert_eq!(loaded, [saved.to_vec()]);
}
