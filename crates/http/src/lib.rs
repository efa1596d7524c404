//! HTTP for every server of the workspace: middleware, responses and errors, event streams, serving.

mod admission;
pub mod answer;
mod auth;
mod body;
mod browser_policy;
mod budget;
pub mod chunks;
mod client;
mod client_address;
mod compression;
mod connection;
mod cross_origin;
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
mod single_headers;
pub mod sse;
pub mod stream;
pub mod websocket;

pub use admission::Admission;
pub use auth::{Authenticator, CallerFuture, Credentials, Token, may_observe};
pub use browser_policy::BrowserPolicy;
pub use error::ApiError;
pub use frames::StreamProtocol;
pub use metrics::HttpMetrics;
pub use middleware::{Middleware, RouteAccess, RouteTraits};
pub use observe::{is_from_foreign_page, request_id};
pub use rate_limit::{RateLimiter, SharedCounters};
pub use serve::serve;
