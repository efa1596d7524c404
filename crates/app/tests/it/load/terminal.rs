//! What `agentcafe load` shows in a terminal.

use super::*;

/// Runs a command in a pseudo-terminal, prints its output, and exits with its code.
const IN_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// A terminal shows progress, then the summary with its histogram; with `TERM=dumb` neither is shown.
#[tokio::test(flavor = "multi_thread")]
async fn load_shows_progress_and_a_summary_in_a_terminal() {
    let (server, _client) = cafe().await;
    let binary = env!("CARGO_BIN_EXE_agentcafe");
    let in_terminal = |terminal: &'static str| {
        let mut command = Command::new("python3");
        command.args(["-c", IN_A_TERMINAL, binary, "load", "--url", &server.url(), "--duration-ms", "600"]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("TERM", terminal).envs(LENIENT).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = in_terminal("xterm").await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    for part in
        ["\r\x1b[K", "requesting", "of 0.6 s", "opening streams", "ms ▇", "ok   api_p95", "\"gate\": {"]
    {
        assert!(shown.contains(part), "{part:?}: {shown}");
    }
    let shown = String::from_utf8(in_terminal("dumb").await.unwrap().stdout).unwrap();
    assert!(!shown.contains('\x1b') && shown.contains("\"gate\": {"), "{shown}");
}
