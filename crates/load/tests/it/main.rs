//! The parts of the load generator, through their public interface. The tests of the binary run `agentcafe load` as a whole.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod http;
mod measuring;
mod reports;
mod requests;
mod streams;
mod workers;
