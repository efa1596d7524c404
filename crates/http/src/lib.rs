//! HTTP as every server of ours speaks it: what is done once around all routes, how answers look, and how events are told.

pub mod answer;
pub mod auth;
pub mod door;
pub mod frames;
pub mod problem;
pub mod query;
mod serve;
pub mod sse;
pub mod telling;
pub mod websocket;

pub use auth::Token;
pub use door::{Door, RequestId, RouteTraits};
pub use frames::Wire;
pub use problem::Problem;
pub use serve::serve;
pub use telling::{Session, Teller, Telling, Woken};
