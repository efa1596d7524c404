//! The HTTP API: routes, what is done once around all of them, and the server that listens.

mod answer;
mod app;
mod following;
mod input;
mod newest;
mod openapi;
mod paging;
mod readgate;
mod route;
mod router;
mod routes;

pub use app::{App, Settings};
pub use router::router;

use agentcafe_http::problem;
