//! All that the café keeps in Redis: which keys there are, what stands in them, and the connection to it.
//!
//! Nothing here is the truth. The log is; what Redis holds can be made again from it, or is a limit that a node also keeps
//! by itself.

pub mod connection;
pub mod keys;
pub mod rate;
pub mod read_models;
pub mod stream;
pub mod unread;
pub mod windows;

pub use connection::{Away, BadUrl, ConnectionStatus, RedisConnection};
pub use keys::{Keys, RoomName};
