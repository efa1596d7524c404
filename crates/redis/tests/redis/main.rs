//! What is kept in Redis, against a real server.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    kernel::{
        ids::{RoomId, Sequence, TenantId},
        secret::Secret,
        time::Timestamp,
    },
    projection::RoomProjection,
};
use agentcafe_redis::{
    Keys, RedisConnection, RoomName,
    read_models::{Known, ReadModelLimits, ReadModels, RoomWrite, StreamEntry, Written},
    stream,
};
use agentcafe_testkit::Redis;
use tokio_util::sync::CancellationToken;

const LIMITS: ReadModelLimits =
    ReadModelLimits { stream_maxlen: 100, presence_ttl: Some(Duration::from_secs(60)) };
const HOLD: Duration = Duration::from_secs(60);

async fn linked(redis: &Redis) -> Arc<RedisConnection> {
    let link = RedisConnection::new(&Secret::new(redis.url()), Duration::from_secs(5)).unwrap();
    tokio::spawn(Arc::clone(&link).keep(CancellationToken::new()));
    link.connected().await;
    link
}

fn main_room() -> (RoomName, RoomProjection) {
    let (tenant, room) = (TenantId::default(), RoomId::main());
    (RoomName::of(&tenant, &room), RoomProjection::new(tenant, room))
}

fn entry(sequence: u64, json: &str) -> StreamEntry {
    let names =
        ["eventId", "sequence", "tenantId", "roomId", "actorId", "type", "timestamp", "payload", "event"];
    StreamEntry { sequence: Sequence(sequence), fields: names.map(|name| (name, json.to_owned())) }
}

async fn write(projection: &ReadModels, before: Option<u64>, cursor: u64) -> Written {
    let (room, fold) = main_room();
    let entries = vec![entry(cursor, &format!("{{\"sequence\":{cursor}}}"))];
    let writes = vec![RoomWrite { room: &room, projection: &fold, entries }];
    let written = projection.write(before.map(Sequence), Sequence(cursor), writes, Timestamp::default());
    written.await.unwrap()
}

/// RULINGS N3 and N6: a write is whole, on top of the one that it knows, or it is not there; whoever writes at the same time.
#[tokio::test]
async fn of_those_who_write_at_once_one_does() {
    let redis = Redis::start();
    let keys = Keys::new("acf");
    let mut links = Vec::new();
    for _ in 0..4 {
        links.push(linked(&redis).await);
    }
    let projections: Vec<ReadModels> =
        links.iter().map(|link| ReadModels::new(Arc::clone(link), keys.clone(), "all", LIMITS)).collect();
    assert_eq!(write(&projections[0], Some(7), 8).await, Written::Overtaken, "nothing was written yet");
    assert_eq!(projections[0].cursor().await.unwrap(), None);
    let mut before = None;
    for round in 1..=50 {
        let writes = projections.iter().map(|projection| write(projection, before, round));
        let [first, second, third, fourth]: [_; 4] =
            writes.collect::<Vec<_>>().try_into().unwrap_or_else(|_| unreachable!("there are four"));
        let (first, second, third, fourth) = tokio::join!(first, second, third, fourth);
        let whole = [first, second, third, fourth].iter().filter(|one| **one == Written::Whole).count();
        assert_eq!(whole, 1, "round {round}");
        before = Some(round);
    }
    let kept = stream::after(&links[0], &keys, &main_room().0, Sequence(40), 5).await.unwrap();
    let sequences: Vec<u64> = kept.iter().map(|kept| kept.sequence.0).collect();
    assert_eq!(sequences, [41, 42, 43, 44, 45]);
    assert_eq!(kept[0].json, "{\"sequence\":41}");
    let newest = stream::newest(&links[0], &keys, &main_room().0, 2).await.unwrap();
    assert_eq!(newest.iter().map(|kept| kept.sequence.0).collect::<Vec<_>>(), [49, 50]);
    let state = stream::state(&links[0], &keys, &main_room().0).await.unwrap().unwrap();
    assert_eq!(state.sequence, Sequence(50));
}

/// Issue 4: what another kind of projector wrote is of no use, and goes; what others keep beside it stays.
#[tokio::test]
async fn what_is_cleared_is_what_a_projector_wrote() {
    let redis = Redis::start();
    let (link, keys) = (linked(&redis).await, Keys::new("acf"));
    let all = ReadModels::new(Arc::clone(&link), keys.clone(), "all", LIMITS);
    let some = ReadModels::new(link, keys, "some", LIMITS);
    let room = main_room().0;
    assert!(matches!(all.known(std::slice::from_ref(&room)).await.unwrap()[..], [Known::New]));
    assert_eq!(write(&all, None, 5).await, Written::Whole);
    assert!(matches!(all.known(std::slice::from_ref(&room)).await.unwrap()[..], [Known::Aside(_)]));
    assert_eq!((all.cursor().await.unwrap(), some.cursor().await.unwrap()), (Some(Sequence(5)), None));
    for key in ["acf:room:default:main:inbox:unread", "acf:rate:GET:/:x", "other:room:default:main:state"] {
        assert_eq!(redis.ask(&["SET", key, "1"]), "OK");
    }
    assert!(all.hold("one", HOLD).await.unwrap() && !some.hold("two", HOLD).await.unwrap());
    assert!(some.clear("two", HOLD).await.is_err(), "another one is at work");
    all.clear("one", HOLD).await.unwrap();
    let left: Vec<String> = redis.contents().into_keys().collect();
    let stays = [
        "acf:projector:lock",
        "acf:rate:GET:/:x",
        "acf:room:default:main:inbox:unread",
        "other:room:default:main:state",
    ];
    assert_eq!(left, stays);
    all.release("two").await.unwrap();
    assert!(!some.hold("two", HOLD).await.unwrap());
    all.release("one").await.unwrap();
    assert!(some.hold("two", HOLD).await.unwrap());
}
