//! The only SQL: the log, the records and the turns that write them.

mod attempts;
mod batch;
mod changes;
pub mod envelope;
pub mod event_query;
pub mod export;
pub mod import;
mod postgres;
pub mod shared_windows;
mod sqlite;
pub mod store;
pub mod tail;
pub mod transfer;
mod turn;

pub use batch::TurnReport;
pub use envelope::{Answer, Envelope, Failure, Origin, Request, TraceNote};
pub use event_query::{EventFilter, EventPage, EventQuery, LoggedEvent};
pub use postgres::{
    clock::TimeSource,
    migrations::{MayChange, Migrated},
    open::PostgresOptions,
    start::migrate,
};
pub use shared_windows::SharedWindows;
pub use sqlite::open::OpenError;
pub use store::{Options, Place, ReadError, RecordPage, Store};
pub use transfer::{Part, Totals};
pub use turn::refusal_step;
