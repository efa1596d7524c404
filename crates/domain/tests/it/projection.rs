//! Tables of cases for the projection: events in, a room out.

use agentcafe_domain::kernel::{
    ActorId, CorrelationId, Event, EventType, RoomId, Sequence, TenantId, Timestamp,
};
use agentcafe_domain::presence::position::SPAWN;
use agentcafe_domain::projection::actors::ActorEntry;
use agentcafe_domain::projection::memory::{MAX_MEMORY, MemoryEntry};
use agentcafe_domain::projection::{CompactRoom, RoomProjection, RoomSnapshot, RoomState};
use serde_json::{Value, json};
use uuid::Uuid;

mod garbage;
mod limits;
mod memory;
mod themed;
mod things;

/// 2026-01-01T00:00:00.000Z.
const MIDNIGHT_MS: i64 = 1_767_225_600_000;

/// The first event of a log.
fn event(kind: EventType, actor: &str, payload: Value) -> Event {
    numbered(1, kind, actor, payload)
}

/// An event that happened `sequence` milliseconds after midnight.
fn numbered(sequence: u64, kind: EventType, actor: &str, payload: Value) -> Event {
    let Value::Object(payload) = payload else { panic!("a payload is an object") };
    Event {
        sequence: Sequence(sequence),
        event_id: Uuid::from_u128(sequence.into()),
        tenant_id: TenantId::default(),
        room_id: RoomId::main(),
        actor_id: ActorId::parse(actor).unwrap(),
        kind,
        timestamp: Timestamp::from_millis(MIDNIGHT_MS + i64::try_from(sequence).unwrap()),
        payload,
        correlation_id: Some(CorrelationId::parse("c").unwrap()),
        causation_id: None,
        by: None,
    }
}

fn project(events: &[Event]) -> RoomProjection {
    let mut projection = RoomProjection::new(TenantId::default(), RoomId::main());
    events.iter().for_each(|event| projection.apply(event));
    projection
}

fn projection(events: impl IntoIterator<Item = (EventType, &'static str, Value)>) -> RoomProjection {
    let numbers = 1..;
    let numbered = |(number, (kind, actor, payload))| numbered(number, kind, actor, payload);
    project(&numbers.zip(events).map(numbered).collect::<Vec<_>>())
}

fn snapshot(events: impl IntoIterator<Item = (EventType, &'static str, Value)>) -> RoomSnapshot {
    projection(events).snapshot()
}

/// What one actor does, and where it stands in the end.
type Case = (Vec<(EventType, Value)>, [i64; 2]);

/// One position model, on a grid, in which zero is a place.
#[test]
fn projection_moves_actors_with_their_events() {
    use EventType::*;
    let walk = |direction, steps| (ActorMoved, json!({ "direction": direction, "steps": steps }));
    let entered = |position: Value| (AgentEntered, json!({ "position": position }));
    let arrived = |x, y| (IntentCompleted, json!({ "finalPosition": { "x": x, "y": y } }));
    let cases: Vec<Case> = vec![
        (vec![(PresenceHeartbeat, json!({}))], [SPAWN.x, SPAWN.y]),
        (vec![entered(Value::Null)], [10, 6]),
        (vec![entered(json!({ "x": 2.5, "y": 0 }))], [3, 0]),
        (vec![entered(json!({ "x": -7, "y": 1e300 }))], [0, 11]),
        (vec![entered(json!({ "x": 3 }))], [10, 6]),
        (vec![entered(json!({ "x": 3, "y": 3 })), walk("N", 2), walk("W", 1)], [2, 1]),
        (vec![walk("E", 50), walk("S", 50)], [19, 11]),
        (vec![(ActorMoved, json!({ "direction": "W" }))], [9, 6]),
        (vec![(ActorMoved, json!({ "direction": "up", "steps": 2 }))], [10, 6]),
        (vec![walk("W", 3), arrived(0, 0)], [0, 0]),
        (vec![arrived(5, 5), (IntentCompleted, json!({}))], [5, 5]),
        (vec![arrived(5, 5), entered(Value::Null)], [10, 6]),
        (vec![arrived(5, 5), (AgentLeft, json!({})), walk("W", 1)], [9, 6]),
    ];
    for (events, want) in cases {
        let room = snapshot(events.iter().map(|(kind, payload)| (*kind, "Nova", payload.clone())));
        assert_eq!([room.actors[0].position.x, room.actors[0].position.y], want, "{events:?}");
    }
}

/// Only events that show an actor in the room add it: what is possible from anywhere does not, nor does a status of inactive.
#[test]
fn projection_shows_actors_that_are_in_the_room() {
    use EventType::*;
    let appear = [
        AgentEntered,
        ActorMoved,
        ConversationMessagePosted,
        BubblePosted,
        OrderChanged,
        IntentPlanned,
        IntentCompleted,
        PresenceHeartbeat,
    ];
    let from_anywhere =
        ["task_", "shared_object_", "room_", "table_session_", "snapshot_", "operator_", "mention_"];
    let is_from_anywhere =
        |kind: &EventType| from_anywhere.iter().any(|start| kind.as_str().starts_with(start));
    let elsewhere = EventType::ALL.iter().copied().filter(is_from_anywhere).chain([AgentLeft, StatusChanged]);
    for (kind, want) in appear.map(|kind| (kind, 1)).into_iter().chain(elsewhere.map(|kind| (kind, 0))) {
        let room = snapshot([(kind, "Nova", json!({ "status": "busy", "toStatus": "busy" }))]);
        assert_eq!(room.actors.len(), want, "{kind:?}");
    }
    let gone = json!({ "status": "inactive", "toStatus": "inactive", "to": "inactive" });
    for kind in [PresenceHeartbeat, StatusChanged] {
        assert_eq!(snapshot([(kind, "Nova", gone.clone())]).actors, [], "{kind:?}");
    }
    let left =
        [(AgentEntered, "Nova", json!({})), (AgentLeft, "Nova", json!({})), (StatusChanged, "Nova", gone)];
    assert_eq!(snapshot(left).actors, []);
}

/// The status after each type of event; every event updates `lastSeen` of its actor.
#[test]
fn projection_sets_the_status_by_event_type() {
    use EventType::*;
    let cases = [
        (AgentEntered, "busy"),
        (ActorMoved, "busy"),
        (PresenceHeartbeat, "idle"),
        (ConversationMessagePosted, "thinking"),
        (BubblePosted, "thinking"),
        (OrderChanged, "busy"),
        (IntentPlanned, "inactive"),
        (IntentCompleted, "idle"),
        (TaskCreated, "busy"),
        (TaskUpdated, "busy"),
        (TaskAssigned, "busy"),
        (TaskProgressUpdated, "busy"),
        (TaskCompleted, "idle"),
        (TaskHandoff, "inactive"),
        (SharedObjectCreated, "busy"),
        (SharedObjectUpdated, "busy"),
        (OperatorOverrideApplied, "busy"),
        (RoomContextPinned, "inactive"),
        (MentionCreated, "inactive"),
        (StatusChanged, "inactive"),
        (SnapshotCreated, "inactive"),
        (RoomUpdated, "inactive"),
    ];
    for (kind, want) in cases {
        let before = [
            (AgentEntered, "Nova", json!({})),
            (StatusChanged, "Nova", json!({ "to": "inactive" })),
            (AgentEntered, "Kai", json!({})),
        ];
        let room = snapshot(before.into_iter().chain([(kind, "Nova", json!({}))]));
        let actor = serde_json::to_value(&room.actors[0]).unwrap();
        assert_eq!(actor["status"], want, "{kind:?}");
        assert_eq!(actor["lastSeen"], "2026-01-01T00:00:00.004Z", "{kind:?}");
        assert_eq!(room.actors[1].last_seen, Timestamp::from_millis(MIDNIGHT_MS + 3), "{kind:?}");
    }
}

/// Presence comes from heartbeats and changes of status.
#[test]
fn projection_sets_presence_by_heartbeat_and_status() {
    use EventType::*;
    let beat = json!({
        "status": "busy", "ttlMs": 5000,
        "lastHeartbeatAt": "2026-01-01T00:00:00.000Z", "expiresAt": "2026-01-01T00:00:05.000Z",
    });
    let shown = |is_active| {
        json!({
            "lastHeartbeatAt": "2026-01-01T00:00:00.000Z", "ttlMs": 5000,
            "expiresAt": "2026-01-01T00:00:05.000Z", "isActive": is_active,
        })
    };
    let beats = (PresenceHeartbeat, beat);
    let goodbye = json!({ "lastHeartbeatAt": "2026-01-01T00:00:00.002Z", "ttlMs": null, "expiresAt": null, "isActive": false });
    let cases = [
        (vec![beats.clone()], shown(true)),
        (vec![beats.clone(), (StatusChanged, json!({ "toStatus": "inactive" }))], shown(false)),
        (vec![beats.clone(), (StatusChanged, json!({ "to": "idle" }))], shown(true)),
        (vec![beats.clone(), (StatusChanged, json!({ "toStatus": "asleep" }))], shown(true)),
        (vec![beats, (PresenceHeartbeat, json!({ "status": "inactive" }))], goodbye),
    ];
    for (events, want) in cases {
        let projection = projection(events.iter().map(|(kind, payload)| (*kind, "Nova", payload.clone())));
        assert_eq!(
            serde_json::to_value(&projection.snapshot().actors[0].presence).unwrap(),
            want,
            "{events:?}"
        );
        assert_eq!(projection.active_actors().len(), usize::from(want["isActive"] == true), "{events:?}");
    }
}

/// The shape of an empty room, and of one with an actor in it.
#[test]
fn projection_renders_every_read_model() {
    let empty = json!({
        "tenantId": "default", "roomId": "main", "actors": [], "pinnedContext": null, "chat": [], "localMemory": [],
        "messages": [], "threads": [], "tasks": [], "sharedObjects": [], "orders": [], "lastEventAt": null, "lastEventId": null,
    });
    assert_eq!(serde_json::to_value(snapshot([])).unwrap(), empty);

    let (at, id) = ("2026-01-01T00:00:00.001Z", "00000000-0000-0000-0000-000000000001");
    let order = json!({ "itemId": "tea", "size": "large" });
    let projection = projection([(EventType::OrderChanged, "Nova", order)]);
    let order = json!({ "itemId": "tea", "size": "large", "ts": at });
    let mut actor =
        json!({ "actorId": "Nova", "status": "busy", "x": 10, "y": 6, "lastSeen": at, "lastOrder": order });
    let memory = json!({
        "eventId": id, "sequence": 1, "type": "order_changed", "actorId": "Nova", "ts": at, "itemId": "tea", "size": "large",
    });
    let room = serde_json::to_value(projection.snapshot()).unwrap();
    assert_eq!(room["actors"], json!([actor]));
    assert_eq!(room["localMemory"], json!([memory]));
    let order = json!({ "actorId": "Nova", "itemId": "tea", "size": "large", "ts": at, "eventId": id });
    assert_eq!(room["orders"], json!([order]));
    assert_eq!((&room["lastEventAt"], &room["lastEventId"]), (&json!(at), &json!(id)));

    actor["presence"] = Value::Null;
    assert_eq!(serde_json::to_value(projection.compact()).unwrap()["actors"], json!([actor]));
    let state = json!({
        "tenantId": "default", "roomId": "main", "lastEventId": id, "lastEventAt": at,
        "actorCount": 1, "threadCount": 0, "taskCount": 0, "objectCount": 0,
    });
    assert_eq!(serde_json::to_value(projection.state()).unwrap(), state);
}

#[test]
fn projection_ignores_events_of_other_rooms() {
    let mut elsewhere = event(EventType::AgentEntered, "Nova", json!({}));
    elsewhere.room_id = RoomId::parse("cellar").unwrap();
    let mut foreign = event(EventType::AgentEntered, "Nova", json!({}));
    foreign.tenant_id = TenantId::parse("rival").unwrap();
    assert_eq!(project(&[elsewhere, foreign]).snapshot(), snapshot([]));
}

#[test]
fn projection_read_models_have_schemas() {
    let properties = |schema: schemars::Schema| schema.as_value()["properties"].clone();
    assert_eq!(properties(schemars::schema_for!(RoomState))["actorCount"]["type"], "integer");
    assert_eq!(properties(schemars::schema_for!(ActorEntry))["x"]["type"], "integer");
    let memory = schemars::schema_for!(MemoryEntry);
    assert_eq!(properties(memory.clone())["type"]["$ref"], "#/$defs/EventType");
    assert!(memory.as_value().to_string().contains("toAssigneeActorId"));
    assert_eq!(properties(schemars::schema_for!(RoomSnapshot))["localMemory"]["type"], "array");
    assert_eq!(properties(schemars::schema_for!(CompactRoom))["actors"]["type"], "array");
}
