//! Snapshots: what was saved of a room, and what an agent saved of itself in one.

mod get;
mod save;

pub use get::{GetAgentSnapshot, GetRoomSnapshot, OneSnapshot};
pub use save::{SaveAgentSnapshot, SaveRoomSnapshot};
