//! CPU time of a process, as Linux counts it.

use std::time::Duration;

use anyhow::Result;
use procfs::ticks_per_second;

/// A running process, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    id: i32,
}

impl Process {
    /// The process with this id.
    pub(crate) fn with_id(id: u32) -> Self {
        Self { id: id.cast_signed() }
    }

    /// This process.
    pub(crate) fn current() -> Self {
        Self::with_id(std::process::id())
    }

    /// CPU time used so far, user and system, to a clock tick (10 ms).
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let stat = procfs::process::Process::new(self.id)?.stat()?;
        Ok(of_ticks(stat.utime + stat.stime))
    }

    /// CPU time used so far by this process and its children, including those that have ended.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu_with_children(self) -> Result<Duration> {
        let process = procfs::process::Process::new(self.id)?;
        let stat = process.stat()?;
        let ended = of_ticks((stat.cutime + stat.cstime).unsigned_abs());
        // A child that ends during this read is counted among the ended ones the next time.
        let children = process.task_main_thread()?.children()?;
        let alive = children.into_iter().filter_map(|id| Self::with_id(id).cpu().ok());
        Ok(of_ticks(stat.utime + stat.stime) + ended + alive.sum::<Duration>())
    }
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64)
}
