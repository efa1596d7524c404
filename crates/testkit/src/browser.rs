//! A real browser for tests: headless Chromium, which shows one page.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// The program, which `./test.sh` installs.
const CHROMIUM: &str = "chromium";
/// Without a sandbox, which needs rights that containers lack; without anything that Chromium does of its own accord. Names
/// under `example` are this machine.
const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
];

/// A browser. Dropping it ends all its processes.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    /// Declared after the process, so that it is removed after its end.
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with a new profile, which opens this page.
    ///
    /// # Panics
    /// If Chromium cannot be run.
    #[must_use]
    pub fn open(url: &str) -> Self {
        let profile = tempfile::Builder::new().prefix("agentcafe-browser-").tempdir();
        let profile = profile.expect("a temporary directory");
        let mut command = Command::new(CHROMIUM);
        command.args(OPTIONS).arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let process = command.spawn();
        let process = process.unwrap_or_else(|error| panic!("cannot run {CHROMIUM}: {error}"));
        Self { process, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // This fails only if all of them have just ended by themselves.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}
