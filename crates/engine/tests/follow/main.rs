//! Promise 3 inside the process: followers and the frames they share, on a real store, while others write.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod cafe;
mod catching_up;
mod following;
mod frames;
