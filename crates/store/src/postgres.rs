//! The PostgreSQL store: turns behind the one row that holds the heads, so that many nodes share one log.

pub(crate) mod clock;
mod connection;
mod database;
mod events;
pub(crate) mod exclusive;
pub(crate) mod import_writer;
mod in_order;
mod keys;
mod listen;
pub(crate) mod migrations;
pub(crate) mod open;
pub(crate) mod reads;
mod records;
mod schema;
pub(crate) mod snapshot;
pub(crate) mod start;
mod tls;
mod traces;
mod writer;
