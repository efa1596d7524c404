//! What the figures were measured on, and when.

use std::fs::read_to_string;
use std::process::Command;

use agentcafe_bench::process::number_after;
use serde::Serialize;

/// Shown for what the system does not tell.
const UNKNOWN: &str = "unknown";

/// Date and machine of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// When the run began, UTC, RFC 3339.
    pub(crate) date: String,
    /// The processor's name.
    pub(crate) cpu: String,
    /// Processors that this program may use.
    pub(crate) cores: usize,
    /// Main memory, in mebibytes.
    pub(crate) memory_mib: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
}

impl Machine {
    /// Looks at this machine.
    pub(crate) fn describe() -> Self {
        let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let memory = read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| UNKNOWN.to_owned());
        Self {
            date: date().unwrap_or_else(|| UNKNOWN.to_owned()),
            cpu: cpu.map_or(UNKNOWN, |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: number_after(&memory, "MemTotal:").unwrap_or(0) / 1024,
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// The system's date, which this crate otherwise has no use for.
fn date() -> Option<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
