//! A lean load generator for AgentCafe: it shares the machine with the server it loads, so it must cost little.

pub mod chunked;
pub mod connection;
pub mod control;
pub mod http;
pub mod latency;
pub mod measure;
pub mod play;
pub mod process;
pub mod requests;
pub mod response;
pub mod script;
pub mod sse;
pub mod stopwatch;
pub mod subscriber;
