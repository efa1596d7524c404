//! The realtime service: follows the event stream of an API, keeps rooms in memory, and streams them to many clients.
//!
//! All its data can be read from the API again, so any number of instances may run.

mod api_history;
mod clients;
mod log_mirror;
mod replay_store;
mod room;
mod room_cache;
mod routes;
mod service;
mod source;
mod stream_start;
mod subscribers;

pub use replay_store::ReplayStore;
pub use routes::router;
pub use service::{RealtimeSettings, Service};
