//! Looking back at a room: replay, memory and the collaboration score.

mod memory;
mod replay;
mod score;

pub use memory::{Memory, ReadMemory};
pub use replay::{Replay, ReplayRoom};
pub use score::{CollaborationScore, ReadScore};
