//! Measures agentcafe on this machine: what a load costs the process that bears it.

pub mod measure;
pub mod process;
pub mod script;
