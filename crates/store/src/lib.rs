//! The only SQL: the log, the records, and the commit batches that write them.

mod actor_names;
mod commit;
pub mod envelope;
mod epoch;
pub mod export;
mod export_format;
pub mod import;
mod migrations;
mod open_error;
mod postgres;
mod reads;
mod rows;
pub mod shared_rate_windows;
mod sql;
mod sqlite;
mod steady_clock;
mod storage;
mod storage_error;
pub mod store;
mod table_changes;
pub mod verify;
mod writer;

pub use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent, ReadError};
pub use commit::error_step;
pub use envelope::{Answer, Envelope, Failure, Origin, Request, TraceNote};
pub use epoch::begin_epoch;
pub use export_format::{ExportScope, Totals};
pub use migrations::{MayChange, Migrated};
pub use open_error::OpenError;
pub use postgres::clock::TimeSource;
pub use postgres::connect::PostgresOptions;
pub use postgres::open::migrate;
pub use shared_rate_windows::SharedRateWindows;
pub use steady_clock::SteadyClock;
pub use store::{RecordPage, Store, StoreLocation, StoreOptions};
pub use writer::CommitReport;
