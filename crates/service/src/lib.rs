//! The operations of the server: one per capability, without a transport.
//!
//! A transport (today HTTP) makes a [`Caller`] and an [`Input`] of what it received, calls
//! [`Service::call`], and renders the plain type that it gets back.

mod auth_mode;
pub mod caller;
mod key_ring;
mod newest_events;
pub mod operation;
mod paging;
mod read_access;
pub mod service;

pub mod actions;
pub mod digest;
pub mod events;
pub mod history;
pub mod inbox;
pub mod keys;
pub mod messages;
pub mod objects;
pub mod operators;
pub mod permissions;
pub mod presence;
pub mod profiles;
pub mod reactions;
pub mod rooms;
pub mod search;
pub mod snapshots;
pub mod system;
pub mod tables;
pub mod tasks;
pub mod traces;
pub mod webhooks;
pub mod work;

pub use agentcafe_eventlog::{LastEventId, LogPosition};
pub use auth_mode::{AuthMode, Authentication};
pub use caller::{Caller, Transport};
pub use operation::{Call, EventList, FromInput, Input, Mutation, Operation};
pub use service::{Service, ServiceSettings};
