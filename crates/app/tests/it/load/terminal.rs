//! What `agentcafe load` shows in a terminal.

use super::*;

/// Runs a command in a pseudo-terminal, prints its output, and exits with its code.
pub(crate) const IN_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// The elapsed time and the duration of a progress line, and how many of its 20 characters are filled.
fn progress(line: &str) -> Option<(f64, f64, usize)> {
    let (bar, rest) = line.split_once(' ')?;
    assert_eq!(bar.chars().count(), 20, "{line:?}");
    let (_, times) = rest.split_once(" · ")?;
    let (elapsed, rest) = times.split_once(" of ")?;
    let (duration, _) = rest.split_once(" s · ")?;
    Some((elapsed.parse().ok()?, duration.parse().ok()?, bar.matches('━').count()))
}

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
        command.env("SLO_API_P99_MS", "0");
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = in_terminal("xterm").await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{shown}");
    for part in [
        "\r\x1b[K",
        "requesting",
        "of 0.6 s",
        "opening streams",
        "  p50 ",
        " ms · p90 ",
        " ms ▇",
        "ok   api_p95: ",
        "FAIL api_p99: ",
        "(expected 0)",
        "\"gate\": {",
    ] {
        assert!(shown.contains(part), "{part:?}: {shown}");
    }
    let lines = shown.split("\r\x1b[K").filter(|line| line.starts_with(['━', '╌']));
    let lines: Vec<_> = lines.filter_map(progress).collect();
    assert!(!lines.is_empty(), "{shown}");
    for (elapsed, duration, filled) in lines {
        let want = (elapsed / duration).min(1.0) * 20.0;
        // The time is rounded to a tenth of a second.
        assert!(
            (filled as f64 - want).abs() <= 1.0 + 2.0 / duration,
            "{filled} for {elapsed} of {duration} s"
        );
    }
    let shown = String::from_utf8(in_terminal("dumb").await.unwrap().stdout).unwrap();
    assert!(!shown.contains('\x1b') && shown.contains("\"gate\": {"), "{shown}");
}
