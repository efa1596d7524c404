//! All that the café keeps in Redis: which keys there are, what stands in them, and the connection to it.
//!
//! Nothing here is the truth. The log is; what Redis holds can be made again from it, or is a limit that a node also keeps
//! by itself.

pub mod keys;
pub mod link;
pub mod projection;
pub mod rate;
pub mod stream;
pub mod unread;
pub mod windows;

pub use keys::{Keys, RoomName};
pub use link::{Away, BadUrl, Link, LinkStatus};
