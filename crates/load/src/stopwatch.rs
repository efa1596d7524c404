//! Wall time for measurements: the only place of this crate that reads a clock.

use std::time::{Duration, Instant};

/// A running stopwatch. Copies share the same start, so their readings compare.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts at zero.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "what is measured is wall time; there is no engine clock here"
    )]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    /// Whole microseconds since the start.
    #[must_use]
    pub fn elapsed_us(self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
