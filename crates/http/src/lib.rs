//! HTTP for every server of the workspace: middleware, responses and errors, event streams, serving.

mod admission;
pub mod answer;
mod auth;
mod body;
mod client_address;
mod compression;
mod connection;
pub mod error;
pub mod frames;
pub mod metrics;
mod middleware;
pub mod observe;
pub mod outgoing;
pub mod parts;
pub mod query;
mod rate_limit;
mod serve;
pub mod sse;
pub mod stream;
pub mod websocket;

pub use admission::Admission;
pub use auth::Token;
pub use error::ApiError;
pub use frames::StreamProtocol;
pub use metrics::HttpMetrics;
pub use middleware::{Middleware, RouteTraits};
pub use observe::request_id;
pub use rate_limit::{RateLimiter, SharedCounters};
pub use serve::serve;
