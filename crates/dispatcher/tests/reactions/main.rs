//! The reaction engine on a real store, with a clock that only moves when it is told to.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod blocked;
mod cafe;
mod follower;
