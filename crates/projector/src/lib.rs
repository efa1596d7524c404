//! The durable follower that keeps read models of rooms, and their newest events, in Redis.
//!
//! It holds nothing that is not in Redis: how far it has come, and where each room stands, are written in the same
//! transaction as the read models. So it goes on where it was, whoever was killed, and what is wiped is made again.

mod arrival;
pub mod health;
mod projector;
mod rooms;
mod scope;
mod session;
mod status;

pub use projector::{Projector, Settings};
pub use scope::Scope;
pub use status::{Report, Status};
