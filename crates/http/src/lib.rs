//! HTTP for every server of the workspace: middleware, responses and errors, event streams, serving.

pub mod answer;
pub mod auth;
pub mod door;
pub mod error;
pub mod frames;
pub mod metrics;
pub mod query;
pub mod rate_limit;
mod serve;
pub mod sse;
pub mod stream;
pub mod websocket;

pub use auth::Token;
pub use door::{Door, RequestId, RouteTraits};
pub use error::ApiError;
pub use frames::StreamProtocol;
pub use metrics::HttpMetrics;
pub use rate_limit::{RateLimiter, SharedCounters};
pub use serve::serve;
