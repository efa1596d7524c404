//! What only the embedded database can do wrong: its files.

mod crash;
mod files;
mod many_keys;
mod many_traces;
mod moves;
mod open_errors;
