//! Follows the event log and keeps read models of rooms, and their newest events, in Redis.
//!
//! All state is in Redis: the cursor and the projections are written in the same transaction as the read models. A projector
//! that is killed resumes from there, and read models that were deleted are rebuilt.

mod projector;
mod rooms;
mod scope;
mod session;
mod status;

pub use projector::{Projector, Settings};
pub use scope::Scope;
pub use status::serve_health;
