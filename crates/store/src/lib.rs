//! The only SQL: the log, the records and the turns that write them.

mod attempts;
mod batch;
mod changes;
mod commit;
pub mod envelope;
pub mod export;
pub mod import;
mod postgres;
pub mod shared_rate_windows;
mod sqlite;
pub mod store;
pub mod transfer;

pub use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent, ReadError};
pub use batch::CommitReport;
pub use commit::error_step;
pub use envelope::{Answer, Envelope, Failure, Origin, Request, TraceNote};
pub use postgres::{
    clock::TimeSource,
    migrations::{MayChange, Migrated},
    open::PostgresOptions,
    start::migrate,
};
pub use shared_rate_windows::SharedRateWindows;
pub use sqlite::open::OpenError;
pub use store::{Options, RecordPage, Store, StoreLocation};
pub use transfer::{Part, Totals};
