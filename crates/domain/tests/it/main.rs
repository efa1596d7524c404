//! Commands, events and projections of the domain, tested through its public interface.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod collaboration;
mod conversation;
mod golden;
mod harness;
mod kernel;
mod moderation;
mod objects;
mod operators;
mod presence;
mod profiles;
mod projection;
mod reactions;
mod search;
mod snapshots;
mod tables;
mod tasks;
mod webhooks;
mod work;
