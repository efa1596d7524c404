//! How a run is coming on, for whoever watches it.

use std::time::Duration;

/// How a part of a run is coming on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: &'static str,
    /// For how long.
    pub elapsed: Duration,
    /// How long it is to take, or may take at most.
    pub duration: Duration,
    /// How much was done.
    pub done: u64,
    /// How much of it failed.
    pub failed: u64,
}

/// Who watches a run.
pub trait Onlooker: Sync {
    /// Is shown how it comes on, a few times a second.
    fn show(&self, progress: &Progress);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Onlooker for Nobody {
    fn show(&self, _progress: &Progress) {}
}
