//! The HTTP API: routes, what is done once around all of them, and the server that listens.

mod answer;
mod app;
mod auth;
mod front;
mod input;
mod newest;
mod openapi;
mod paging;
mod problem;
mod readgate;
mod route;
mod router;
mod routes;
mod serve;
mod sse;

pub use app::{App, Settings};
pub use router::router;
pub use serve::serve;
