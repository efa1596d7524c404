//! Permissions: who may do what in a room.

mod grant;
mod list;

pub use list::{ListPermissions, PermissionsAnswer};
