//! The HTTP API: one table of routes to the service's operations, and the OpenAPI and AsyncAPI documents made from it.

mod app;
mod asyncapi;
mod bootstrap;
mod event_list;
mod openapi;
mod request;
mod response;
mod route;
mod router;
mod system;

pub use app::{ApiSettings, App};
pub use router::router;
