//! How each subject is reached: extract, build the command or the question, execute or ask, answer.

pub(crate) mod bootstrap;
pub(crate) mod commands;
pub(crate) mod events;
pub(crate) mod inbox;
pub(crate) mod intents;
pub(crate) mod memory;
pub(crate) mod objects;
pub(crate) mod operations;
pub(crate) mod operators;
pub(crate) mod permissions;
pub(crate) mod pins;
pub(crate) mod poll;
pub(crate) mod presence;
pub(crate) mod profiles;
pub(crate) mod reactions;
pub(crate) mod replay;
pub(crate) mod rooms;
pub(crate) mod score;
pub(crate) mod snapshots;
pub(crate) mod streams;
pub(crate) mod subscriptions;
pub(crate) mod table_sessions;
pub(crate) mod tasks;
pub(crate) mod traces;
