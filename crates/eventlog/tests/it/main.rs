//! Followers, recent events and shared frames, on a log in memory.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod fanout;
mod follower;
mod log_stream;
mod memory_log;
mod recent_events;
