//! The embedded database: one connection writes on the writer's thread, others read beside it.

mod bloom_filter;
mod connection;
mod events;
mod file_check;
mod file_modes;
mod idempotency_keys;
pub(crate) mod import_writer;
mod migrations;
pub(crate) mod open;
pub(crate) mod reader;
mod records;
mod storage;
mod traces;
