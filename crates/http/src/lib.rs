//! HTTP as every server of ours speaks it: what is done once around all routes, how answers look, and how events are told.

pub mod answer;
pub mod auth;
pub mod door;
pub mod error;
pub mod frames;
pub mod query;
mod serve;
pub mod sse;
pub mod stream;
pub mod websocket;

pub use auth::Token;
pub use door::{Door, RequestId, RouteTraits};
pub use error::ApiError;
pub use frames::StreamProtocol;
pub use serve::serve;
pub use stream::{FrameSource, StreamHub, StreamSession, Wakeup};
