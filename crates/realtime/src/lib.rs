//! The realtime service: follows the event stream of an API, keeps rooms in memory, and streams them to many clients.
//!
//! All its data can be read from the API again, so any number of instances may run.

mod api_history;
mod initial_frames;
mod log_mirror;
mod replay_store;
mod room;
mod room_cache;
mod room_stream;
mod routes;
mod service;
mod source;

pub use replay_store::ReplayStore;
pub use routes::router;
pub use service::{RealtimeSettings, Service};
