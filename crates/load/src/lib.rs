//! A lean load generator: it may share the machine with the server that it loads, so it must cost little.

pub mod audience;
pub mod chunked;
pub mod connection;
pub mod control;
pub mod fanout;
pub mod gate;
pub mod http;
pub mod latency;
pub mod notes;
pub mod open_files;
pub mod play;
pub mod progress;
pub mod report;
pub mod requests;
pub mod response;
pub mod room_log;
pub mod run;
pub mod script;
pub mod speech;
pub mod sse;
pub mod stopwatch;
pub mod subscriber;
pub mod tally;
pub mod target;
pub mod transport;
pub mod write;
