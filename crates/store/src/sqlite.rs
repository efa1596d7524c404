//! The embedded database: one connection writes on the writer's thread, others read beside it.

mod bloom_filter;
mod connection;
mod events;
mod file_check;
mod file_modes;
mod high_water_mark;
mod idempotency_keys;
pub(crate) mod import_writer;
pub(crate) mod log_identity;
mod migrations;
pub(crate) mod open;
mod open_files;
pub(crate) mod reader;
mod records;
pub(crate) mod search_index;
mod storage;
mod traces;
mod word_query;
