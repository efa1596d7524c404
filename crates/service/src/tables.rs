//! Private tables: sessions that are bought for a while.

mod get;
mod list;
mod write;

pub use get::{GetSession, OneSession};
pub use list::{ListSessions, SessionList};
