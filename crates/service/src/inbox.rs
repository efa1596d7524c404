//! The inbox of an actor: listing and acknowledging what is addressed to it.

mod acknowledge;
mod list;

pub use list::{Inbox, ListInbox};

pub(crate) use list::newest_unread;
