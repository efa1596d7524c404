//! The parts of the load generator, through their public interface. The tests of the binary run `agentcafe load` as a whole.

mod http;
mod measuring;
mod reports;
mod requests;
mod streams;
mod workers;
