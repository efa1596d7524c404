//! CPU time and memory of a process, as Linux counts them.

use std::io;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

/// A running process, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    id: u32,
}

impl Process {
    /// The process with this id.
    pub(crate) fn with_id(id: u32) -> Self {
        Self { id }
    }

    /// This process.
    pub(crate) fn current() -> Self {
        Self { id: std::process::id() }
    }

    /// CPU time used so far, user and system, to a clock tick (10 ms).
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu(self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        let ticks = cpu_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    }

    /// CPU time used so far by this process and its children, including those that have ended.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu_with_children(self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        let ended = ended_children_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        let ended = Duration::from_secs_f64(ended as f64 / clock_ticks_per_second() as f64);
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id))?;
        // A child that ends during this read is counted among the ended ones the next time.
        let alive = children.split_whitespace().filter_map(|id| Self::with_id(id.parse().ok()?).cpu().ok());
        Ok(self.cpu()? + ended + alive.sum::<Duration>())
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn resident_bytes(self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let kibibytes = number_after(&status, "VmRSS:").ok_or(io::ErrorKind::InvalidData)?;
        Ok(kibibytes * 1024)
    }

    /// Asks the process to stop (SIGTERM).
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn terminate(self) -> io::Result<()> {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(kill_process(id, Signal::TERM)?)
    }
}

/// The number behind `name` in a file such as `/proc/meminfo`.
pub(crate) fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User plus system ticks of a `/proc/<id>/stat` line: fields 14 and 15.
fn cpu_ticks(stat: &str) -> Option<u64> {
    sum_of_fields(stat, 14)
}

/// The same for children that have ended and were waited for: fields 16 and 17.
fn ended_children_ticks(stat: &str) -> Option<u64> {
    sum_of_fields(stat, 16)
}

/// The sum of a field and the next. Field 2, the name in parentheses, may itself hold spaces.
fn sum_of_fields(stat: &str, number: usize) -> Option<u64> {
    let (_, from_third) = stat.rsplit_once(')')?;
    let mut fields = from_third.split_whitespace().skip(number - 3);
    let first: u64 = fields.next()?.parse().ok()?;
    let second: u64 = fields.next()?.parse().ok()?;
    Some(first + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_skips_a_process_name_with_spaces() {
        let stat = "17 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 40 3 4 20 0";
        assert_eq!((cpu_ticks(stat), ended_children_ticks(stat)), (Some(290), Some(7)));
    }

    #[test]
    fn number_after_finds_the_line_by_its_name() {
        assert_eq!(number_after("VmHWM:\t  9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(number_after("VmHWM:\t  9 kB\n", "VmRSS:"), None);
    }
}
