//! `agentcafe tail`: the line of every golden event, and of events that have none; and what a terminal shows of them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use agentcafe_testkit::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::load::terminal::IN_A_TERMINAL;

const BINARY: &str = env!("CARGO_BIN_EXE_agentcafe");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/golden");

/// `agentcafe`, without a terminal.
fn command() -> Command {
    Command::new(BINARY)
}

/// The same in a pseudo-terminal.
fn in_a_terminal() -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", IN_A_TERMINAL, BINARY]);
    command
}

/// The lines that it prints of these events, with these arguments.
async fn tail(mut command: Command, events: &[Value], arguments: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned();
    stream.push_str("event: ready\ndata: {\"cursor\":0,\"head\":0}\n\n");
    for (at, event) in events.iter().enumerate() {
        stream.push_str(&format!("id: {}\ndata: {event}\n\n", at + 1));
    }
    let serving = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await.unwrap();
        connection.write_all(stream.as_bytes()).await.unwrap();
        connection
    });
    command.args(["tail", "--since", "0", "--url", &url]).args(arguments);
    // A terminal also shows the warnings of settings that are none, as those of the tests are.
    let settings = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("AGENTCAFE_"));
    for name in settings {
        command.env_remove(name);
    }
    let count = events.len();
    let lines = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it can be run");
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines: Vec<_> = output.lines().take(count).map(|line| line.unwrap()).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        lines
    });
    let lines = lines.await.unwrap();
    drop(serving.await.unwrap());
    assert_eq!(lines.len(), count);
    lines.iter().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

fn golden(name: &str) -> Value {
    serde_json::from_slice(&fs::read(format!("{GOLDEN}/{name}.json")).unwrap()).unwrap()
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

#[tokio::test(flavor = "multi_thread")]
async fn tail_line_of_every_golden_event_is_a_sentence() {
    let files = fs::read_dir(GOLDEN).unwrap().map(|file| file.unwrap().path());
    let names: Vec<_> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let events: Vec<_> = names.iter().map(|name| golden(name)).collect();
    let mut seen = 0;
    for (name, line) in names.iter().zip(tail(command(), &events, &["main", "--all"]).await) {
        let line = line.strip_prefix("03:04:05  ").unwrap();
        match LINES.iter().find(|(known, _)| known == name) {
            Some((_, want)) => assert_eq!(line, *want, "{name}"),
            // A new variant of a type needs no line here, but must be understood.
            None => assert!(!line.contains(name.split('.').next().unwrap()), "{name}: {line}"),
        }
        seen += usize::from(LINES.iter().any(|(known, _)| known == name));
    }
    assert_eq!(seen, LINES.len(), "a golden file is gone");
}

fn event(kind: &str, payload: Value) -> Value {
    json!({
        "sequence": 1, "eventId": "e", "tenantId": "default", "roomId": "main", "actorId": "Nova",
        "type": kind, "timestamp": "2026-11-22T09:41:07.123Z", "payload": payload,
        "correlationId": null, "causationId": null,
    })
}

/// Checks what it prints of events after the time and the actor.
async fn check(cases: &[(Value, &str)]) {
    let events: Vec<_> = cases.iter().map(|(event, _)| event.clone()).collect();
    let lines = tail(command(), &events, &["main", "--tenant", "default"]).await;
    for (line, (_, want)) in lines.iter().zip(cases) {
        assert_eq!(*line, format!("09:41:07  Nova  {want}"));
    }
}

/// Actions without a golden event.
#[tokio::test(flavor = "multi_thread")]
async fn tail_line_of_other_actions_is_a_sentence() {
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
    check(&cases).await;
}

/// Nothing that clients send controls the terminal.
#[tokio::test(flavor = "multi_thread")]
async fn tail_line_of_an_unknown_type_or_payload_is_raw() {
    check(&[
        (event("cat_adopted", json!({ "name": "Miso", "age": 2 })), r#"cat_adopted {"age":2,"name":"Miso"}"#),
        (event("order_changed", json!({ "item": "tea" })), r#"order_changed {"item":"tea"}"#),
        (event("cat\u{1b}[2J", json!({ "name": "\u{9b}2J\n" })), "cat␛[2J {\"name\":\"\u{fffd}2J\\n\"}"),
    ])
    .await;
}

/// A message of an actor.
fn message(actor: &str, text: &str) -> Value {
    let mut event = golden("conversation_message_posted");
    event["actorId"] = actor.into();
    event["payload"]["conversation"]["text"] = text.into();
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_line_has_no_control_characters() {
    let cases = [
        ("hey @Kai ☕ 你好 👩‍🍳", "hey @Kai ☕ 你好 👩‍🍳"),
        ("one\ntwo\r\nthree\rfour", "one⏎two⏎three⏎four"),
        ("a\tb", "a b"),
        ("\u{1b}[31mred\u{1b}[0m", "␛[31mred␛[0m"),
        ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
        ("\u{9b}2J\u{7f}\0", "\u{fffd}2J␡␀"),
        ("abc\u{202e}cba\u{2066}", "abc\u{fffd}cba\u{fffd}"),
        ("a\u{2028}b", "a⏎b"),
    ];
    let lines = tail(command(), &cases.map(|(text, _)| message("Nova", text)), &["main"]).await;
    for (line, (text, want)) in lines.iter().zip(cases) {
        assert_eq!(*line, format!("03:04:05  Nova  says: {want}"), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_line_names_the_room_and_the_tenant_where_they_vary() {
    let of = |tenant: &str| {
        let mut event = event("tick", json!({}));
        event["tenantId"] = tenant.into();
        event
    };
    let cases: [(&[&str], &str, &str); 4] = [
        (&["main", "--tenant", "default"], "Nova", "Nova"),
        (&[], "main  Nova", "acme/main  Nova"),
        (&["--tenant", "acme"], "main  Nova", "main  Nova"),
        (&["main"], "Nova", "acme/main  Nova"),
    ];
    for (arguments, default, acme) in cases {
        let lines = tail(command(), &[of("default"), of("acme")], arguments).await;
        assert_eq!(lines, [default, acme].map(|who| format!("09:41:07  {who}  tick {{}}")), "{arguments:?}");
    }
}

/// On a terminal unless `NO_COLOR` is set, or on request. Texts have no colours of their own.
#[tokio::test(flavor = "multi_thread")]
async fn tail_colours_names_and_details() {
    let cases = [
        (in_a_terminal(), "auto", false, true),
        (in_a_terminal(), "auto", true, false),
        (command(), "auto", false, false),
        (command(), "always", true, true),
        (in_a_terminal(), "never", false, false),
    ];
    let events = [message("Nova", "\u{1b}[31mred"), golden("order_changed.reaction"), message("Kai", "hey")];
    let plain = [
        "03:04:05  Nova  says: ␛[31mred",
        "03:04:05  Nova  orders flat_white (regular) (as a reaction)",
        "03:04:05  Kai  says: hey",
    ];
    let (dim, nova) = ("\u{1b}[2m03:04:05\u{1b}[0m  ", "\u{1b}[95mNova\u{1b}[0m  ");
    let coloured = [
        format!("{dim}{nova}says: ␛[31mred"),
        format!("{dim}{nova}orders flat_white (regular)\u{1b}[2m (as a reaction)\u{1b}[0m"),
    ];
    for (mut command, option, no_colour, is_coloured) in cases {
        command.env_remove("NO_COLOR").envs(no_colour.then_some(("NO_COLOR", "1")));
        let lines = tail(command, &events, &["main", "--colour", option]).await;
        if is_coloured {
            assert_eq!(lines[..2], coloured, "{option} {no_colour}");
            assert!(lines[2].contains("mKai\u{1b}[0m") && !lines[2].contains("[95m"), "{:?}", lines[2]);
        } else {
            assert_eq!(lines, plain, "{option} {no_colour}");
        }
    }
}
