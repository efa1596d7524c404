//! The line of every golden event, and of events that have none.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::*;
use crate::cli::Colour;
use crate::tail::colour::Palette;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/golden");

fn text(event: &Event, label: Label) -> String {
    Palette::choose(Colour::Never, false, false).paint(&render(event, label))
}

/// The lines of the golden events, without their time.
const LINES: &[(&str, &str)] = &[
    ("actor_moved", "Nova  walks ← 4"),
    ("actor_moved.command_intent", "Nova  walks ← 4 (stretch_legs)"),
    ("actor_moved.intent", "Nova  walks ← 4 to table_2"),
    ("actor_moved.reaction", "Nova  walks ← 4 (as a reaction)"),
    ("agent_entered", "Nova  enters"),
    ("agent_entered.position", "Nova  enters at (2.5, 0.25)"),
    ("agent_left", "Nova  leaves"),
    ("agent_left.forced", "Nova  is made to leave by Olga"),
    ("bubble_posted", "Nova  says: hey @Kai"),
    ("conversation_message_posted", "Nova  says: hey @Kai"),
    ("conversation_message_posted.reaction", "Nova  ↳ replies: hey @Kai (as a reaction)"),
    ("conversation_message_posted.reply", "Nova  ↳ replies: hey @Kai"),
    ("intent_completed", "Nova  walks to table_2 and sits down"),
    ("intent_completed.arrived", "Nova  walks to (0, 0)"),
    ("intent_planned", "Nova  sets off for table_2 (← 4, ↑ 4)"),
    ("intent_planned.already_there", "Nova  is at table_2 already"),
    ("mention_created", "Kai  is mentioned by Nova"),
    ("mention_created.no_thread", "Kai  is mentioned by Nova"),
    ("operator_override_applied", "Nova  pauses the room"),
    ("operator_override_applied.mute", "Nova  mutes Kai: too loud"),
    ("order_changed", "Nova  orders flat_white (regular)"),
    ("order_changed.reaction", "Nova  orders flat_white (regular) (as a reaction)"),
    ("presence_heartbeat", "Nova  is there (busy)"),
    ("room_context_pinned", "Nova  pins: Be kind. (version 3)"),
    ("room_created", "Nova  creates room terrace (lobby)"),
    ("room_created.private_table", "Nova  creates room terrace: The terrace (private_table)"),
    ("room_updated", "Nova  changes room terrace: The terrace (private_table)"),
    ("room_updated.paid", "Nova  changes room terrace: The terrace (private_table)"),
    ("shared_object_created", "Nova  creates note …0000e0"),
    ("shared_object_created.token", "Nova  creates token Beans × 12: One per cup."),
    ("shared_object_updated", "Nova  changes token Beans × 0 (quantity)"),
    ("shared_object_updated.emptied", "Nova  changes token …0000e0 (objectKey, title, content, quantity)"),
    ("snapshot_created", "Nova  saves the room (version 1)"),
    ("snapshot_created.agent", "Nova  saves Nova (version 2)"),
    ("status_changed", "Nova  is busy now (was idle, command_activity)"),
    ("status_changed.expired", "Nova  is inactive now (was thinking, heartbeat_ttl_expired)"),
    ("status_changed.first", "Nova  is busy now (command_activity)"),
    ("status_changed.forced", "Nova  is inactive now (was thinking, operator_force_leave)"),
    ("status_changed.left", "Nova  is inactive now (was thinking, agent_left)"),
    (
        "table_session_created",
        "Nova  opens the private table private-1a2b3c4d for Kai (cappuccino, until 04:34:05)",
    ),
    ("table_session_created.unpaid", "Nova  opens the private table private-1a2b3c4d (cappuccino)"),
    ("table_session_ended", "Nova  closes the private table"),
    ("table_session_ended.expired", "Nova  no longer has the private table (expired)"),
    ("table_session_updated", "Nova  changes the private table, now for Kai, Zoe (invitedActorIds)"),
    ("table_session_updated.ended", "Nova  changes the private table (status, endedAt)"),
    ("task_assigned", "Nova  gives task …0000d0 to Kai"),
    ("task_assigned.unassigned", "Nova  takes task …0000d0 from Kai"),
    ("task_completed", "Nova  finishes task …0000d0"),
    ("task_created", "Nova  creates task …0000d0: Sweep the floor"),
    ("task_created.assigned", "Nova  creates task …0000d0 for Kai: Sweep the floor"),
    ("task_handoff", "Nova  hands task …0000d0 to Zoe: Mind the corners."),
    ("task_handoff.blocked", "Nova  is blocked on task …0000d0: No broom."),
    ("task_progress_updated", "Nova  brings task …0000d0 from 0 % to 40 %"),
    ("task_updated", "Nova  changes task …0000d0 (state, assigneeActorId, progress)"),
    ("task_updated.unassigned", "Nova  changes task …0000d0 (state, assigneeActorId, progress)"),
];

#[test]
fn tail_line_of_every_golden_event_is_a_sentence() {
    let lines: BTreeMap<&str, &str> = LINES.iter().copied().collect();
    let mut seen = 0;
    for file in fs::read_dir(GOLDEN).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let event: Event = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let line = text(&event, Label { room: false, tenant: true });
        let line = line.strip_prefix("03:04:05  ").unwrap();
        match lines.get(name) {
            Some(want) => assert_eq!(line, *want, "{name}"),
            // A new variant of a type needs no line here, but must be understood.
            None => assert!(!line.contains(name.split('.').next().unwrap()), "{name}: {line}"),
        }
        seen += usize::from(lines.contains_key(name));
    }
    assert_eq!(seen, LINES.len(), "a golden file is gone");
}

fn event(kind: &str, payload: Value) -> Event {
    serde_json::from_value(json!({
        "sequence": 1, "eventId": "e", "tenantId": "default", "roomId": "main", "actorId": "Nova",
        "type": kind, "timestamp": "2026-11-22T09:41:07.123Z", "payload": payload,
        "correlationId": null, "causationId": null,
    }))
    .unwrap()
}

/// Actions without a golden event.
#[test]
fn tail_line_of_other_actions_is_a_sentence() {
    let operator = |action: &str, target: Option<&str>| {
        event(
            "operator_override_applied",
            json!({
                "action": action, "targetActorId": target, "reason": null, "metadata": {},
                "overrideState": { "roomPaused": false, "pausedBy": null, "mutedActorIds": [] },
            }),
        )
    };
    let assigned = |from: Option<&str>, to: Option<&str>| {
        let task = "01990000-0000-7000-8000-0000000000d0";
        let payload = json!({ "taskId": task, "fromAssigneeActorId": from, "toAssigneeActorId": to, "assignedBy": "Nova" });
        event("task_assigned", payload)
    };
    let cases = [
        (operator("resume_room", None), "resumes the room"),
        (operator("unmute_agent", Some("Kai")), "unmutes Kai"),
        (operator("force_leave", Some("Kai")), "makes Kai leave"),
        (operator("dim_lights", None), "dim_lights"),
        (operator("feed", Some("Kai")), "feed Kai"),
        (assigned(None, Some("Nova")), "takes task …0000d0"),
        (assigned(Some("Kai"), Some("Zoe")), "gives task …0000d0 to Zoe"),
        (assigned(Some("Nova"), None), "gives up task …0000d0"),
    ];
    for (event, want) in cases {
        let line = text(&event, Label { room: false, tenant: false });
        assert_eq!(line, format!("09:41:07  Nova  {want}"));
    }
}

#[test]
fn tail_line_of_an_unknown_type_or_payload_is_raw() {
    let cases = [
        ("cat_adopted", json!({ "name": "Miso", "age": 2 }), r#"cat_adopted {"age":2,"name":"Miso"}"#),
        ("order_changed", json!({ "item": "tea" }), r#"order_changed {"item":"tea"}"#),
        ("cat\u{1b}[2J", json!({ "name": "\u{9b}2J\n" }), "cat␛[2J {\"name\":\"\u{fffd}2J\\n\"}"),
    ];
    for (kind, payload, want) in cases {
        let line = text(&event(kind, payload), Label { room: false, tenant: false });
        assert_eq!(line, format!("09:41:07  Nova  {want}"));
    }
}

#[test]
fn tail_line_names_the_room_and_the_tenant_where_they_vary() {
    let cases = [
        ("default", false, false, "09:41:07  Nova  tick {}"),
        ("default", true, true, "09:41:07  main  Nova  tick {}"),
        ("acme", true, true, "09:41:07  acme/main  Nova  tick {}"),
        ("acme", true, false, "09:41:07  main  Nova  tick {}"),
        ("acme", false, true, "09:41:07  acme/main  Nova  tick {}"),
    ];
    for (tenant, by_room, by_tenant, want) in cases {
        let event = Event { tenant_id: tenant.to_owned(), ..event("tick", json!({})) };
        assert_eq!(text(&event, Label { room: by_room, tenant: by_tenant }), want);
    }
}
