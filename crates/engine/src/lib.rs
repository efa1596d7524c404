//! Carries commands to the log and events from it: execute, follow, and the work that goes on by itself.

pub mod clock;
pub mod engine;
pub mod execute;
pub mod external_calls;
pub mod fanout;
pub mod follow;
pub mod followers;
pub mod lease;
pub mod metrics;
pub mod rate;
pub mod redis;
pub mod sweeps;
pub mod unread;
pub mod webhook_metrics;

pub use engine::Engine;
pub use execute::{Executed, NotExecuted, SubmittedCommand};
pub use follow::{Follower, Log};
