//! The example agents hold a conversation with each other on a real server; the log is checked afterwards.

use std::process::{Command, Output};

use crate::launch;

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/check.sh");

/// Under the default moderation: a mention, a reply in its thread, an acknowledgement, a seat at a table. A missing
/// tool (bash, python3, curl, jq) is a failure.
#[tokio::test(flavor = "multi_thread")]
async fn example_agents_hold_a_conversation() {
    for tool in ["bash", "python3", "curl", "jq"] {
        let found = Command::new(tool).arg("--version").output();
        assert!(found.is_ok_and(|output| output.status.success()), "the examples need {tool}");
    }
    let limits =
        ["MOD_MIN_ACTION_INTERVAL_MS", "MOD_MAX_ACTIONS_PER_WINDOW", "MOD_MAX_REPEATED_TEXT_PER_WINDOW"];
    let server = limits.iter().fold(launch(), |launch, name| launch.without(name)).start().await;
    let mut command = Command::new("bash");
    command.arg(CHECK).env("AGENTCAFE_URL", server.url()).env("AGENTCAFE_TIMEOUT", "40");
    for foreign in [
        "AGENTCAFE_TOKEN",
        "AGENTCAFE_ROOM",
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(foreign);
    }
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{said}\nthe server's log:\n{}", server.log());
    assert!(said.contains("the conversation happened"), "{said}");
}
