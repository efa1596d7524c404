//! The HTTP API: routes, what is done once around all of them, and the server that listens.

mod answer;
mod app;
mod event_stream;
mod input;
mod newest;
mod openapi;
mod paging;
mod read_access;
mod route;
mod router;
mod routes;

pub use app::{App, Settings};
pub use router::router;

use agentcafe_http::error;
