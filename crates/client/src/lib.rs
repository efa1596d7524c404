//! The Rust client of the API: requests, and its event stream.
//!
//! An [`EventStream`] yields every event after its cursor, once and in order, over any number of broken connections.

mod api;
mod position;
mod sse;
mod stream;

pub use api::{AddressError, ApiClient, EVENT_STREAM_PATH, Query, RequestError};
pub use reqwest::Method;
pub use sse::{MAX_FRAME_BYTES, SseError, SseFrame, SseParser};
pub use stream::{Backoff, EventStream, ReceivedEvent, Start, StreamOptions, StreamUpdate};
