//! Shared objects: listing, reading, creating and changing.

mod get;
mod list;
mod write;

pub use get::{GetObject, OneObject};
pub use list::{ListObjects, ObjectList};
pub use write::UpdateObject;
