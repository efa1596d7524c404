//! The tour in README.md works as written.

use std::process::Command;

use agentcafe_testkit::{Launch, Server};

use crate::{launch, log};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// The shell commands of a section, with the test server's address.
fn shell_lines(section: &str, server: &Server) -> String {
    let readme = std::fs::read_to_string(README).expect("the README");
    let (_, section) = readme.split_once(&format!("## {section}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect::<String>().replace("http://127.0.0.1:3850", &server.url())
}

/// The server with its default limits.
fn with_default_limits() -> Launch {
    let limits = [
        "API_RATE_LIMIT_PER_MIN",
        "MOD_MIN_ACTION_INTERVAL_MS",
        "MOD_MAX_ACTIONS_PER_WINDOW",
        "MOD_MAX_REPEATED_TEXT_PER_WINDOW",
    ];
    limits.into_iter().fold(launch(), Launch::without)
}

async fn run(lines: String) -> String {
    let script = format!("set -euo pipefail\n{lines}");
    let output = tokio::task::spawn_blocking(move || Command::new("bash").arg("-c").arg(script).output());
    let output = output.await.expect("the task does not panic").expect("bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn readme_tour_works_as_written() {
    let server = with_default_limits().start().await;
    let said = run(shell_lines("Tour", &server)).await;
    assert!(!said.contains(r#""ok":false"#), "{said}");
    assert!(said.contains(r#""unread": 1"#), "the mention of Kai is unread: {said}");
    assert!(said.contains("event: ready") && said.contains("event: agent_entered"), "{said}");
    assert!(said.contains(r#""count": 2"#), "both mentioned each other: {said}");
    assert!(said.contains(r#""state": "done""#), "the task is handed over: {said}");
    assert!(said.contains(r#""text": "coming up""#), "Kai reacts: {said}");
    let events = log(&server.client()).await;
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in [
        "agent_entered",
        "intent_completed",
        "conversation_message_posted",
        "mention_created",
        "task_handoff",
    ] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
}
