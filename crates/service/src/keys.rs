//! API keys: who makes, lists, changes, rotates and revokes them.

mod list;
pub(crate) mod ring;
mod write;

pub use list::{GetKey, KeyList, ListKeys, OneKey};
pub use write::{ChangeKey, CreateKey, RevokeKey, RotateKey};
