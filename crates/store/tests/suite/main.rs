//! The suite that every database must pass: written against `Store`, which only `place::Place::open` opens. What only
//! the embedded database can do wrong (its files) is in `sqlite`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod changes;
mod commands;
mod faults;
mod keys;
mod log;
mod log_model;
mod log_pages;
mod place;
mod reads;
mod records;
mod records_model;
mod reopen;
mod sight;
mod sight_rules;
mod snapshots;
mod sqlite;
mod tail;
mod traces;
mod turns;
mod webhook_rings;
