//! Snapshots over time, on a clock that the test sets: which are visible, which are deleted, and which
//! versions are assigned.

use agentcafe_domain::kernel::{ActorInRoom, Clock, Code, Fields};
use agentcafe_domain::permissions::RoomOverride;
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::snapshots::{
    CreateSnapshot, DeleteExpiredSnapshots, Snapshot, SnapshotScope, SnapshotSubject,
};
use agentcafe_store::{Failure, Store};
use serde_json::{Value, json};

use crate::commands::{actor, append_texts, command, done, envelope, reply, submit_batch};
use crate::test_store::TestStore;

fn save(scope: SnapshotScope, body: Value) -> CreateSnapshot {
    CreateSnapshot::read(&Fields::of_body(body.as_object().cloned().unwrap()), scope).unwrap()
}

/// Saves a state of Nova, and returns its version.
async fn saved(store: &Store, body: Value) -> u64 {
    let mut body = body;
    body["actorId"] = json!("Nova");
    let answer: Value = done(&store.submit(envelope(save(SnapshotScope::Agent, body))).await);
    answer["snapshot"]["version"].as_u64().unwrap()
}

fn novas() -> SnapshotSubject {
    save(SnapshotScope::Agent, json!({ "actorId": "Nova" })).of().clone()
}

async fn seen(test_store: &TestStore, store: &Store, version: Option<u64>) -> Option<u64> {
    let found: Vec<Snapshot> = store.find(novas().newest(version, test_store.clock.now())).await.unwrap();
    found.first().map(|snapshot| snapshot.version)
}

/// As the sweep does: deletes what has expired, and returns how many there were.
async fn forget(test_store: &TestStore, store: &Store) -> usize {
    let expired: Vec<Snapshot> =
        store.find(DeleteExpiredSnapshots::due(test_store.clock.now())).await.unwrap();
    done(&store.submit(envelope(DeleteExpiredSnapshots { expired })).await)
}

/// The newest version, or a given one; an expired one is missing, to the millisecond.
#[tokio::test]
async fn snapshot_is_hidden_once_it_expires() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    assert_eq!(seen(&test_store, store, None).await, None);
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
        test_store.clock.advance(ms);
        assert_eq!(seen(&test_store, store, None).await, want, "after {ms} ms");
    }
    assert_eq!(
        (seen(&test_store, store, Some(1)).await, seen(&test_store, store, Some(2)).await),
        (Some(1), None)
    );
    opened.close();
}

/// Versions continue after everything was deleted, and over restarts.
#[tokio::test]
async fn snapshot_versions_never_go_back() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    for version in 1..=3 {
        assert_eq!(saved(&opened.store, json!({ "ttlSeconds": 1 })).await, version);
    }
    test_store.clock.advance(999);
    assert_eq!(forget(&test_store, &opened.store).await, 0);
    test_store.clock.advance(1);
    assert_eq!(forget(&test_store, &opened.store).await, 3);
    assert_eq!(forget(&test_store, &opened.store).await, 0);
    assert_eq!(saved(&opened.store, json!({})).await, 4);
    opened.close();
    let opened = test_store.open();
    assert_eq!(saved(&opened.store, json!({})).await, 5);
    opened.close();
}

/// The purge deletes what has expired, in batches, and nothing else.
#[tokio::test]
async fn snapshot_purge_deletes_expired_ones_in_batches() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let many =
        (0..DeleteExpiredSnapshots::BATCH + 7).map(|_| save(SnapshotScope::Room, json!({ "ttlSeconds": 1 })));
    submit_batch(&test_store, store, many.map(envelope).collect()).await;
    saved(store, json!({ "ttlSeconds": null })).await;
    saved(store, json!({ "ttlSeconds": 60 })).await;
    test_store.clock.advance(30_000);
    let mut counts = Vec::new();
    while counts.last() != Some(&0) {
        counts.push(forget(&test_store, store).await);
    }
    assert_eq!(counts, [DeleteExpiredSnapshots::BATCH, 7, 0]);
    assert_eq!(seen(&test_store, store, None).await, Some(2));
    opened.close();
}

/// Versions count per tenant, room and actor, also within one commit batch; an actor called `-` is not a
/// room.
#[tokio::test]
async fn snapshot_versions_count_per_room_and_actor() {
    let test_store = TestStore::new();
    let opened = test_store.open();
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
    let answers = submit_batch(&test_store, &opened.store, saves).await;
    for (answer, (scope, body, version)) in answers.iter().zip(wanted) {
        assert_eq!(done::<Value>(answer)["snapshot"]["version"], version, "{scope:?} {body}");
    }
    opened.close();
}

/// First the access to a private table, then the operators' overrides, then the input.
#[tokio::test]
async fn snapshot_save_checks_table_access_before_overrides_and_input() {
    let test_store = TestStore::new();
    let opened = test_store.open();
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
        created_at: test_store.clock.now(),
        updated_at: test_store.clock.now(),
    };
    let put = async |room_type| {
        let (room, paused) = (Room { room_type, ..room.clone() }, paused.clone());
        let put = command(move |ctx| {
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

/// Reads of a room are bounded by its own events, whatever happens elsewhere.
#[tokio::test]
async fn before_newest_counts_the_events_of_a_room() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    for room in ["main", "attic", "main", "main", "attic"] {
        store.submit(append_texts(&actor(room, "Nova"), &["hi"])).await.unwrap();
    }
    let main = actor("main", "Nova");
    for (count, want) in [(0, 4), (1, 3), (2, 1), (3, 0), (4, 0), (1_000_000, 0)] {
        let bound = store.before_newest(&main.tenant_id, &main.room_id, count).await.unwrap();
        assert_eq!(bound.0, want, "{count}");
    }
    opened.close();
}
