//! Presence: who is in a room, when actors were last seen, and heartbeats.

mod heartbeat;
mod last_seen;
mod list;

pub use last_seen::{LastSeen, LastSeenAnswer, ReadLastSeen};
pub use list::{ListPresence, PresenceAnswer};

pub(crate) use list::active_in;
