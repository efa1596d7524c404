//! Everything that is kept in Redis: the keys, the values, and the connection.
//!
//! Redis is never the source of truth. Its data is rebuilt from the event log, or is a limit that each node also enforces alone.

pub mod connection;
pub mod keys;
pub mod moderation_activity;
pub mod rate_limit;
pub mod read_models;
mod refusals;
pub mod stream;
pub mod unread;

pub use connection::{ConnectionStatus, InvalidRedisUrl, RedisConnection, RedisUnavailable, RedisUse};
pub use keys::{Keys, RoomName};
