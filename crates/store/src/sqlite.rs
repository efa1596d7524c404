//! The embedded store: one writer thread that works in turns, and connections that read beside it.

pub(crate) mod database;
pub(crate) mod events;
mod file;
mod filter;
pub(crate) mod import_writer;
pub(crate) mod keys;
pub(crate) mod migrations;
pub(crate) mod open;
pub(crate) mod readers;
pub(crate) mod records;
pub(crate) mod snapshot;
pub(crate) mod traces;
pub(crate) mod writer;
