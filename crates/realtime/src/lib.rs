//! The realtime service: follows the event stream of an API, keeps rooms in memory, and tells many clients of them.
//!
//! What it knows, the API can say again: it keeps nothing of its own, and any number of it may run.

mod archive;
mod backlog;
mod feed;
mod hub;
mod introduction;
mod room;
mod room_stream;
mod rooms;
mod routes;
mod service;
mod standing;

pub use agentcafe_client::{Api, BadAddress};
pub use archive::Archive;
pub use routes::router;
pub use service::{Service, Settings};
