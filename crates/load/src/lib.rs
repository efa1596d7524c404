//! A load generator that often shares a machine with the server under test, so its own CPU cost must stay low.
//!
//! A *say* is one `POST /v1/commands/say`.

pub mod connection;
pub mod fanout;
pub mod gate;
pub mod http;
pub mod report;
pub mod script;
pub mod stats;
pub mod subscriber;
pub mod target;
pub mod worker;
pub mod write;
