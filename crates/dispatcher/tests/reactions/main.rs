//! The reaction engine on a real store, with a clock that tests advance.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod blocked;
mod cafe;
mod follower;
