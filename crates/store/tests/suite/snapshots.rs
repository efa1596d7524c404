//! Snapshots over time, on a clock that only the test moves: what is still there, what is deleted, and which versions are given.

use agentcafe_domain::{
    kernel::{actor::ActorInRoom, error::Code, fields::Fields, time::Clock},
    permissions::RoomOverride,
    rooms::{Room, RoomType},
    snapshots::{CreateSnapshot, DeleteExpiredSnapshots, Snapshot, SnapshotScope, SnapshotSubject},
};
use agentcafe_store::{Failure, Store};
use serde_json::{Value, json};

use crate::{
    commands::{actor, does, done, envelope, reply, says, together},
    place::StoreLocation,
};

fn save(scope: SnapshotScope, body: Value) -> CreateSnapshot {
    CreateSnapshot::read(&Fields::of_body(body.as_object().cloned().unwrap()), scope).unwrap()
}

/// Saves a state of Nova's, and tells the version.
async fn saved(store: &Store, body: Value) -> u64 {
    let mut body = body;
    body["actorId"] = json!("Nova");
    let answer: Value = done(&store.submit(envelope(save(SnapshotScope::Agent, body))).await);
    answer["snapshot"]["version"].as_u64().unwrap()
}

fn novas() -> SnapshotSubject {
    save(SnapshotScope::Agent, json!({ "actorId": "Nova" })).of().clone()
}

async fn seen(place: &StoreLocation, store: &Store, version: Option<u64>) -> Option<u64> {
    let found: Vec<Snapshot> = store.find(novas().newest(version, place.clock.now())).await.unwrap();
    found.first().map(|snapshot| snapshot.version)
}

/// As the sweep does: deletes what has expired, and tells how many there were.
async fn forget(place: &StoreLocation, store: &Store) -> usize {
    let expired: Vec<Snapshot> = store.find(DeleteExpiredSnapshots::due(place.clock.now())).await.unwrap();
    done(&store.submit(envelope(DeleteExpiredSnapshots { expired })).await)
}

/// CONTRACT 9.16: the newest that is there, or one version; what has expired is not there, to the millisecond.
#[tokio::test]
async fn what_has_expired_is_not_there() {
    let place = StoreLocation::new();
    let opened = place.open();
    let store = &opened.store;
    assert_eq!(seen(&place, store, None).await, None);
    for (ttl, want) in [(json!(null), 1), (json!(5), 2), (json!(2), 3)] {
        assert_eq!(saved(store, json!({ "ttlSeconds": ttl })).await, want);
    }
    let steps = [
        (0, Some(3)),
        (1_999, Some(3)),
        (1, Some(2)),
        (2_999, Some(2)),
        (1, Some(1)),
        (31_536_000_000, Some(1)),
    ];
    for (ms, want) in steps {
        place.clock.advance(ms);
        assert_eq!(seen(&place, store, None).await, want, "after {ms} ms");
    }
    assert_eq!((seen(&place, store, Some(1)).await, seen(&place, store, Some(2)).await), (Some(1), None));
    opened.close();
}

/// RULINGS J7: versions go on where they were, after everything was deleted and over restarts.
#[tokio::test]
async fn versions_never_go_back() {
    let place = StoreLocation::new();
    let opened = place.open();
    for version in 1..=3 {
        assert_eq!(saved(&opened.store, json!({ "ttlSeconds": 1 })).await, version);
    }
    place.clock.advance(999);
    assert_eq!(forget(&place, &opened.store).await, 0);
    place.clock.advance(1);
    assert_eq!(forget(&place, &opened.store).await, 3);
    assert_eq!(forget(&place, &opened.store).await, 0);
    assert_eq!(saved(&opened.store, json!({})).await, 4);
    opened.close();
    let opened = place.open();
    assert_eq!(saved(&opened.store, json!({})).await, 5);
    opened.close();
}

/// RULINGS J7: the purge takes what has expired, in batches, and nothing else.
#[tokio::test]
async fn the_purge_goes_in_batches() {
    let place = StoreLocation::new();
    let opened = place.open();
    let store = &opened.store;
    let many =
        (0..DeleteExpiredSnapshots::BATCH + 7).map(|_| save(SnapshotScope::Room, json!({ "ttlSeconds": 1 })));
    together(&place, store, many.map(envelope).collect()).await;
    saved(store, json!({ "ttlSeconds": null })).await;
    saved(store, json!({ "ttlSeconds": 60 })).await;
    place.clock.advance(30_000);
    let mut counts = Vec::new();
    while counts.last() != Some(&0) {
        counts.push(forget(&place, store).await);
    }
    assert_eq!(counts, [DeleteExpiredSnapshots::BATCH, 7, 0]);
    assert_eq!(seen(&place, store, None).await, Some(2));
    opened.close();
}

/// CONTRACT 9.16: versions count per tenant, room and actor, also within one turn; an actor called `-` is no room.
#[tokio::test]
async fn versions_count_per_room_and_actor() {
    let place = StoreLocation::new();
    let opened = place.open();
    let wanted = [
        (SnapshotScope::Agent, json!({ "actorId": "Nova" }), 1),
        (SnapshotScope::Agent, json!({ "actorId": "Nova" }), 2),
        (SnapshotScope::Agent, json!({ "actorId": "-" }), 1),
        (SnapshotScope::Room, json!({ "actorId": "Nova" }), 1),
        (SnapshotScope::Room, json!({}), 2),
        (SnapshotScope::Room, json!({ "roomId": "attic" }), 1),
        (SnapshotScope::Room, json!({ "tenantId": "acme" }), 1),
        (SnapshotScope::Agent, json!({ "actorId": "Nova", "tenantId": "acme" }), 1),
    ];
    let saves = wanted.iter().map(|(scope, body, _)| envelope(save(*scope, body.clone()))).collect();
    let answers = together(&place, &opened.store, saves).await;
    for (answer, (scope, body, version)) in answers.iter().zip(wanted) {
        assert_eq!(done::<Value>(answer)["snapshot"]["version"], version, "{scope:?} {body}");
    }
    opened.close();
}

/// CONTRACT 3.4, RULINGS I3 and J7: the gate of a private table, then the operators' overrides, then what is to be saved.
#[tokio::test]
async fn saving_is_refused_in_order() {
    let place = StoreLocation::new();
    let opened = place.open();
    let store = &opened.store;
    let refused = async || {
        let too_long = envelope(save(SnapshotScope::Agent, json!({ "actorId": "Nova", "ttlSeconds": 0 })));
        match store.submit(too_long).await {
            Err(Failure::Refused(error)) => (error.code, error.details["action"].clone()),
            other => panic!("not refused: {other:?}"),
        }
    };
    let ActorInRoom { tenant_id, room_id, actor_id } = actor("main", "Nova");
    let room = Room::without_record(tenant_id.clone(), room_id.clone());
    let paused = RoomOverride {
        tenant_id,
        room_id,
        room_paused: true,
        paused_by: Some(actor_id),
        pause_reason: None,
        paused_at: None,
        resumed_at: None,
        muted_actors: Default::default(),
        metadata: Default::default(),
        created_at: place.clock.now(),
        updated_at: place.clock.now(),
    };
    let put = async |room_type| {
        let (room, paused) = (Room { room_type, ..room.clone() }, paused.clone());
        let put = does(move |ctx| {
            ctx.put(&room);
            ctx.put(&paused);
            reply(&())
        });
        store.submit(put).await.unwrap();
    };
    put(RoomType::PrivateTable).await;
    assert_eq!(refused().await, (Code::PaymentRequired, json!("snapshot_create")));
    put(RoomType::Lobby).await;
    assert_eq!(refused().await, (Code::OperatorOverrideBlocked, json!("snapshot_create")));
    opened.close();
}

/// Readings of a room are bounded by its own events, whatever happens elsewhere.
#[tokio::test]
async fn a_room_is_counted_back() {
    let place = StoreLocation::new();
    let opened = place.open();
    let store = &opened.store;
    for room in ["main", "attic", "main", "main", "attic"] {
        store.submit(says(&actor(room, "Nova"), &["hi"])).await.unwrap();
    }
    let main = actor("main", "Nova");
    for (count, want) in [(0, 4), (1, 3), (2, 1), (3, 0), (4, 0), (1_000_000, 0)] {
        let bound = store.before_newest(&main.tenant_id, &main.room_id, count).await.unwrap();
        assert_eq!(bound.0, want, "{count}");
    }
    opened.close();
}
