//! What a process has used so far: CPU time and memory, as Linux counts them.

use std::io;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

/// A running process, by its id.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    id: u32,
}

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn with_id(id: u32) -> Self {
        Self { id }
    }

    /// This process.
    #[must_use]
    pub fn current() -> Self {
        Self { id: std::process::id() }
    }

    /// CPU time used so far, user and system, to a clock tick (10 ms).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        let ticks = cpu_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let kibibytes = number_after(&status, "VmRSS:").ok_or(io::ErrorKind::InvalidData)?;
        Ok(kibibytes * 1024)
    }

    /// Asks the process to stop (SIGTERM).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn terminate(self) -> io::Result<()> {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(kill_process(id, Signal::TERM)?)
    }
}

/// The number behind `name` in a file such as `/proc/meminfo`.
#[must_use]
pub fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User plus system ticks of a `/proc/<id>/stat` line: fields 14 and 15, of which field 2, the
/// name in parentheses, may itself hold spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, from_third) = stat.rsplit_once(')')?;
    let mut fields = from_third.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_spaces() {
        let stat = "17 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 40 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(290));
    }

    #[test]
    fn a_number_is_found_by_its_name() {
        assert_eq!(number_after("VmHWM:\t  9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(number_after("VmHWM:\t  9 kB\n", "VmRSS:"), None);
    }
}
