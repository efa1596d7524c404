//! PostgreSQL: the transactions of all nodes are serialised by the one row that holds the heads, so that they share one log.

pub(crate) mod blocking;
mod catch_up;
pub(crate) mod clock;
pub(crate) mod connect;
mod connection;
mod events;
mod idempotency_keys;
mod import_writer;
mod listener;
mod migrations;
pub(crate) mod open;
mod pipeline;
pub(crate) mod reader;
mod records;
mod schema;
pub(crate) mod search_index;
mod snapshot;
mod storage;
mod tls;
mod traces;
mod word_query;
