//! The suite that both databases pass, on the embedded one; and tests of its files.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

#[path = "../suite/active_rooms.rs"]
mod active_rooms;
#[path = "../suite/batch_rules.rs"]
mod batch_rules;
#[path = "../suite/batch_visibility.rs"]
mod batch_visibility;
#[path = "../suite/commands.rs"]
mod commands;
#[path = "../suite/commit_batches.rs"]
mod commit_batches;
mod crash;
#[path = "../suite/event_model.rs"]
mod event_model;
#[path = "../suite/event_pages.rs"]
mod event_pages;
#[path = "../suite/events.rs"]
mod events;
mod export_import;
#[path = "../suite/faults.rs"]
mod faults;
mod files;
#[path = "../suite/follow.rs"]
mod follow;
#[path = "../suite/idempotency_keys.rs"]
mod idempotency_keys;
mod many_idempotency_keys;
mod many_traces;
mod open_errors;
#[path = "../suite/reads.rs"]
mod reads;
#[path = "../suite/records.rs"]
mod records;
#[path = "../suite/records_model.rs"]
mod records_model;
#[path = "../suite/reopen.rs"]
mod reopen;
mod schema;
#[path = "../suite/search_index.rs"]
mod search_index;
#[path = "../suite/snapshots.rs"]
mod snapshots;
#[path = "../suite/table_changes.rs"]
mod table_changes;
#[path = "../suite/test_store.rs"]
mod test_store;
#[path = "../suite/tickets.rs"]
mod tickets;
#[path = "../suite/traces.rs"]
mod traces;
mod verify;
#[path = "../suite/webhook_retention.rs"]
mod webhook_retention;
