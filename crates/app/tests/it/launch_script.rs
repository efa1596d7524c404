//! Servers that a shell script starts, as an init system would: with other limits or another umask.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use agentcafe_testkit::Launch;
use tempfile::TempDir;

/// A server that is started after these shell commands. The directory has the script.
pub(crate) fn launch_after(commands: &str) -> (TempDir, Launch) {
    let directory = TempDir::new().expect("a temporary directory");
    let script = directory.path().join("start");
    let binary = env!("CARGO_BIN_EXE_agentcafe");
    fs::write(&script, format!("#!/bin/sh\n{commands}\nexec '{binary}' \"$@\"\n")).expect("a script");
    fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("the script is ours");
    (directory, Launch::new(script))
}
