//! What all subjects build on: ids, time, records, events, commands, errors and fields.

pub mod actor;
pub mod command;
pub mod error;
pub mod event;
pub mod external_call;
pub mod fields;
pub mod follower;
pub mod guard;
pub mod idempotency;
pub mod ids;
pub mod lease;
pub mod money;
pub mod record;
pub mod rules;
pub mod secret;
pub mod time;
pub mod trace;
