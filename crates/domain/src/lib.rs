//! What commands mean. Pure: no I/O, no async, no clock, no randomness; all of these come in through [`command::Moment`].

pub mod act;
pub mod actor;
pub mod arrival;
pub mod command;
pub mod conversation;
pub mod event;
pub mod fields;
pub mod fold;
pub mod idempotency;
pub mod ids;
pub mod inbox;
pub mod moderation;
pub mod movement;
pub mod order;
pub mod pin;
pub mod policy;
pub mod position;
pub mod presence;
pub mod record;
pub mod refusal;
pub mod room;
pub mod rules;
pub mod task;
pub mod time;
pub mod trace;
