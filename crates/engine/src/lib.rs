//! Executes commands, and runs background work: leases, sweeps, durable followers.

pub mod clock;
pub mod clock_anchor;
pub mod engine;
pub mod execute;
pub mod external_calls;
pub mod followers;
pub mod indexer;
pub mod lease;
pub mod metrics;
pub mod redis;
pub mod sweeps;
pub mod unread;

pub use engine::Engine;
pub use execute::{Executed, NotExecuted, SubmittedCommand};
