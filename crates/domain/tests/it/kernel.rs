//! What all subjects build on.

mod fields;
mod idempotency;
mod record;
mod record_kinds;
