//! The only SQL: the log, the records and the turns that write them.

mod changes;
pub mod envelope;
pub mod event_query;
pub mod export;
pub mod import;
mod sqlite;
pub mod store;
pub mod tail;
pub mod transfer;
mod turn;

pub use envelope::{Answer, Envelope, Failure, Origin, Request, TraceNote};
pub use event_query::{EventFilter, EventPage, EventQuery, LoggedEvent};
pub use sqlite::open::OpenError;
pub use sqlite::writer::TurnReport;
pub use store::{Options, ReadError, RecordPage, Store};
pub use transfer::{Part, Totals};
pub use turn::refusal_step;
