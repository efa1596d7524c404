//! Overrides by operators, and what they block.

use std::collections::BTreeMap;

use agentcafe_domain::conversation::{PostMessage, Say};
use agentcafe_domain::kernel::{ActorInRoom, Code, Command, DomainError, Rules, Timestamp};
use agentcafe_domain::operators::{ApplyOverride, MAX_MUTED};
use agentcafe_domain::permissions::{Mute, Permission, RoomOverride};
use agentcafe_domain::presence::Heartbeat;
use agentcafe_domain::presence::arrival::Leave;
use agentcafe_domain::presence::movement::Move;
use serde_json::{Value, json};

use crate::harness::{Harness, actor, body, id};

/// A room with an operator.
fn room() -> Harness {
    let mut harness = Harness::new();
    let can_moderate = Permission { can_moderate: true, ..Permission::default_of(&actor("Op")) };
    harness.put(&can_moderate);
    harness
}

fn operate(
    harness: &mut Harness,
    action: &str,
    target: Option<&str>,
    reason: Option<&str>,
) -> Result<Value, DomainError> {
    let fields = json!({"roomId": "main", "operatorId": "Op", "action": action, "targetActorId": target,
        "reason": reason, "metadata": {"why": action}});
    Ok(harness.decide(&ApplyOverride::read(&body(&fields)).unwrap())?.1["override"].take())
}

fn mute(name: &str) -> Mute {
    let muted_at = Timestamp::from_millis(0);
    Mute { actor_id: id(name), muted_by: id("Op"), muted_at, reason: None }
}

fn override_of_room() -> RoomOverride {
    let ActorInRoom { tenant_id, room_id, .. } = actor("Op");
    RoomOverride::none(tenant_id, room_id, Timestamp::from_millis(0))
}

/// The overrides after each action, which starts from those that the actions before it left.
#[test]
fn operator_action_changes_the_overrides() {
    let at = Timestamp::from_millis;
    let cases = [
        ("pause_room", None, Some("fire"), json!([true, "Op", "fire", at(1), null, []])),
        ("pause_room ", None, None, json!([true, "Op", null, at(2), null, []])),
        ("mute_agent", Some("Kai"), Some("loud"), json!([true, "Op", null, at(2), null, ["Kai"]])),
        (
            "mute_agent",
            Some("constructor"),
            None,
            json!([true, "Op", null, at(2), null, ["Kai", "constructor"]]),
        ),
        ("resume_room", None, Some("over"), json!([false, null, null, null, at(5), ["Kai", "constructor"]])),
        (
            "unmute_agent",
            Some("nobody"),
            None,
            json!([false, null, null, null, at(5), ["Kai", "constructor"]]),
        ),
        ("unmute_agent", Some("Kai"), None, json!([false, null, null, null, at(5), ["constructor"]])),
        ("force_leave", Some("Kai"), None, json!([false, null, null, null, at(5), ["constructor"]])),
        ("pause_room", None, None, json!([true, "Op", null, at(9), null, ["constructor"]])),
    ];
    let mut harness = room();
    for (step, (action, target, reason, want)) in cases.into_iter().enumerate() {
        harness.now = at(i64::try_from(step).unwrap() + 1);
        let shown = operate(&mut harness, action, target, reason).unwrap();
        let names = ["roomPaused", "pausedBy", "pauseReason", "pausedAt", "resumedAt", "mutedActorIds"];
        assert_eq!(json!(names.map(|name| shown[name].clone())), want, "{step}: {action}");
        assert_eq!((&shown["metadata"], &shown["updatedAt"]), (&json!({"why": action}), &json!(harness.now)));
    }
}

/// A room has a largest number of muted actors; muting one of them again, or fewer, stays possible.
#[test]
fn operator_mutes_a_bounded_number_of_actors() {
    let muted = (0..MAX_MUTED).map(|number| format!("a{number}"));
    let muted_actors: BTreeMap<_, _> = muted.map(|name| (id(&name), mute(&name))).collect();
    let mut harness = room();
    harness.put(&RoomOverride { muted_actors, ..override_of_room() });
    let error = operate(&mut harness, "mute_agent", Some("one more"), None).unwrap_err();
    assert_eq!((error.code, &error.details["max"]), (Code::OutOfBounds, &json!(MAX_MUTED)));
    for (action, target) in [("mute_agent", "a0"), ("unmute_agent", "a1"), ("force_leave", "one more")] {
        assert!(operate(&mut harness, action, Some(target), None).is_ok(), "{action}");
    }
}

/// A command of an actor, by its label in overrides.
fn command(name: &str, label: &str) -> Box<dyn Command> {
    let fields = body(&json!({ "actorId": name, "text": "hi", "direction": "N" }));
    match label {
        "say" => Box::new(Say::read(&fields, &Rules::default()).unwrap()),
        "conversation_message" => Box::new(PostMessage::read(&fields, &Rules::default()).unwrap()),
        "presence_heartbeat" => Box::new(Heartbeat::read(&fields, &Rules::default()).unwrap()),
        "leave" => Box::new(Leave::read(&fields, &Rules::default()).unwrap()),
        "move" => Box::new(Move::read(&fields, &Rules::default()).unwrap()),
        other => panic!("no command is called {other}"),
    }
}

/// A pause blocks everything but leave, a mute blocks speech; no actor's name is special.
#[test]
fn override_blocks_commands_in_order() {
    let cases = [
        (false, None, "Nova", "say", None),
        (true, None, "Nova", "say", Some("ROOM_PAUSED")),
        (true, None, "Nova", "presence_heartbeat", Some("ROOM_PAUSED")),
        (true, None, "Nova", "leave", None),
        (false, Some("Nova"), "Nova", "say", Some("ACTOR_MUTED")),
        (false, Some("Nova"), "Nova", "conversation_message", Some("ACTOR_MUTED")),
        (false, Some("Nova"), "Nova", "move", None),
        (false, Some("Nova"), "constructor", "say", None),
        (true, Some("Nova"), "Nova", "say", Some("ROOM_PAUSED")),
    ];
    for (room_paused, muted, name, label, want) in cases {
        let mut harness = Harness::new();
        let paused_by = room_paused.then(|| id("Op"));
        let muted_actors = muted.map(|name| (id(name), mute(name))).into_iter().collect();
        harness.put(&RoomOverride { room_paused, paused_by, muted_actors, ..override_of_room() });
        let refused = harness.decide(command(name, label).as_ref()).err();
        let reason = refused.map(|error| error.details["reasonCode"].clone());
        assert_eq!(reason, want.map(|reason: &str| json!(reason)), "{room_paused} {muted:?} {name} {label}");
    }
}
