//! A lean load generator: it may share the machine with the server that it loads, so it must cost little.

pub mod chunked;
pub mod connection;
pub mod control;
pub mod http;
pub mod latency;
pub mod open_files;
pub mod play;
pub mod requests;
pub mod response;
pub mod script;
pub mod sse;
pub mod stopwatch;
pub mod subscriber;
