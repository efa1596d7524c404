//! What commands mean. Pure: no I/O, no async, no clock, no randomness; all of these come in through [`kernel::CommandContext`].

pub mod actor_command;
pub mod actors;
pub mod collaboration;
pub mod conversation;
pub mod event_schemas;
pub mod inbox;
pub mod kernel;
pub mod keys;
pub mod moderation;
pub mod objects;
pub mod operators;
pub mod orders;
pub mod permissions;
pub mod presence;
pub mod profiles;
pub mod projection;
pub mod reactions;
pub mod record_kinds;
pub mod rooms;
pub mod snapshots;
pub mod tables;
pub mod tasks;
pub mod webhooks;
pub mod work;
