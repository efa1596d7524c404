//! The suite that every database must pass, on the embedded one; and what only that can do wrong: its files.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

#[path = "../suite/turns.rs"]
mod batches;
#[path = "../suite/changes.rs"]
mod changes;
#[path = "../suite/commands.rs"]
mod commands;
mod crash;
#[path = "../suite/faults.rs"]
mod faults;
mod files;
#[path = "../suite/follow.rs"]
mod follow;
#[path = "../suite/keys.rs"]
mod keys;
#[path = "../suite/log.rs"]
mod log;
#[path = "../suite/log_model.rs"]
mod log_model;
#[path = "../suite/log_pages.rs"]
mod log_pages;
mod many_keys;
mod many_traces;
mod moves;
mod open_errors;
#[path = "../suite/place.rs"]
mod place;
#[path = "../suite/reads.rs"]
mod reads;
#[path = "../suite/records.rs"]
mod records;
#[path = "../suite/records_model.rs"]
mod records_model;
#[path = "../suite/reopen.rs"]
mod reopen;
#[path = "../suite/sight.rs"]
mod sight;
#[path = "../suite/sight_rules.rs"]
mod sight_rules;
#[path = "../suite/snapshots.rs"]
mod snapshots;
#[path = "../suite/traces.rs"]
mod traces;
#[path = "../suite/webhook_rings.rs"]
mod webhook_rings;
